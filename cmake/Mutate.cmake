# Bugs put into the library for tests that have to find them: `out` is `in` with the text `from`, which has to be there
# exactly once, replaced by `to`. Both may be the same file.
function(lrpc_queue_mutate in out from to)
  file(READ "${in}" text)
  string(FIND "${text}" "${from}" first)
  string(FIND "${text}" "${from}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "lrpc-queue: not there exactly once, in ${in}: ${from}")
  endif()
  string(REPLACE "${from}" "${to}" text "${text}")
  file(WRITE "${out}.new" "${text}")
  file(COPY_FILE "${out}.new" "${out}" ONLY_IF_DIFFERENT)
endfunction()
