# lrpc_queue_backend(<name> [ALWAYS] [DEFAULT <ON|OFF>])
#
# Adds the back end in the folder <name> to the library. Unless ALWAYS, the option LRPC_QUEUE_WITH_<NAME> leaves it out;
# the engine sees the choice as the macro LRPC_QUEUE_WITH_<NAME> (0 or 1), and opening a back end that was left out
# gives `unsupported`. What the back end links and finds stays in its own CMakeLists.txt.
function(lrpc_queue_backend name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ALWAYS" "DEFAULT" "")
  string(TOUPPER ${name} upper)
  if(arg_ALWAYS)
    set(LRPC_QUEUE_WITH_${upper} ON)
  else()
    option(LRPC_QUEUE_WITH_${upper} "Build the ${name} back end" ${arg_DEFAULT})
  endif()
  if(LRPC_QUEUE_WITH_${upper})
    add_subdirectory(${name})
  endif()
  target_compile_definitions(lrpc_queue PRIVATE LRPC_QUEUE_WITH_${upper}=$<BOOL:${LRPC_QUEUE_WITH_${upper}}>)
endfunction()
