# Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
# Completion of lrpc-queue for bash. It never asks a server: topics and channels are not completed.

# _lrpc_queue_takes_value WORD: whether WORD is an option whose value is the next word.
_lrpc_queue_takes_value() {
  case $1 in
    --config | --storage | --redis | --brokers | --prefix) ;;
    --exec | --concurrency | --max-retries | --retry-delay | --ack-timeout | --handler-timeout | --dead-letters) ;;
    --key | --header | --delay | --ttl | --batch | --max | --idle-exit | --add | --limit) ;;
    --messages | --size | --producers | --consumers | --channels | --shape) ;;
    *) return 1 ;;
  esac
}

_lrpc_queue() {
  local current=${COMP_WORDS[COMP_CWORD]} previous='' command='' action='' word i
  ((COMP_CWORD > 0)) && previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()

  case $previous in
    --config | --dead-letters)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    --storage)
      mapfile -t COMPREPLY < <(compgen -W 'memory redis kafka' -- "$current")
      return
      ;;
    --shape)
      mapfile -t COMPREPLY < <(
        compgen -W 'single batch one-to-one many-to-many fan-out subscribe' -- "$current")
      return
      ;;
  esac
  _lrpc_queue_takes_value "$previous" && return

  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if _lrpc_queue_takes_value "$word"; then
      i=$((i + 1))
    elif [[ $word == -* ]]; then
      continue
    elif [[ -z $command ]]; then
      command=$word
    elif [[ -z $action && ($command == dlq || $command == config) ]]; then
      action=$word
    fi
  done

  local handler='--exec --concurrency --max-retries --retry-delay --ack-timeout --handler-timeout'
  local options='--config --storage --redis --brokers --prefix --json --verbose --help' words='' files=''
  case $command in
    '')
      words='pipe pub sub tail topics channels stats depth dlq drain rm doctor bench config'
      options+=' --version'
      ;;
    pipe) options+=" --text $handler --dead-letters" files=yes ;;
    pub) options+=' --text --key --header --delay --ttl --batch' ;;
    sub) options+=" $handler --max --idle-exit" ;;
    tail) options+=' --from-start --max --idle-exit' ;;
    channels) options+=' --add' ;;
    dlq)
      [[ -z $action ]] && words='list requeue purge'
      [[ $action == list ]] && options+=' --limit'
      ;;
    drain | rm) options+=' --yes' ;;
    bench) options+=' --messages --size --producers --consumers --channels --batch --shape' ;;
    config)
      [[ -z $action ]] && words='check'
      [[ $action == check ]] && files=yes
      ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [[ -n $files ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}

complete -o filenames -F _lrpc_queue lrpc-queue
