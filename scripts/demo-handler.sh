#!/bin/sh
# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# The demo's handler: gets one package as JSON on stdin, adds its section and size to $DEMO_DIR/sizes.
# Exit 0 = done, 75 = try again later, 65 = never try again; anything else = failed, try again.
set -eu

# The text after "$1": up to the next comma, brace or quote.
field() {
  value=${body#*"\"$1\":"}
  value=${value#\"}
  value=${value%%[\",\}]*}
}

# A body comes without a line end, which `read` counts as a failure.
IFS= read -r body || [ -n "$body" ]
field package
case $value in
  base-passwd)
    echo "the demo rejects $value" >&2
    exit 65
    ;;
  hostname)
    echo "the demo fails at $value every time" >&2
    exit 1
    ;;
esac
# Every seventh or so is too busy at first.
if [ "$LRPC_MSG_ATTEMPTS" -eq 1 ] && [ $((${#value} % 7)) -eq 0 ]; then
  exit 75
fi

field section
section=$value
field kib
echo "$section $value" >>"$DEMO_DIR/sizes"
