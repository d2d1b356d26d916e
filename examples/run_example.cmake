# cmake -DEXPECTED=<regular expression> -P run_example.cmake -- <command>...
#
# Fails unless the command ends with code 0 and its output matches: ctest's PASS_REGULAR_EXPRESSION ignores the code.
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(in_command)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(in_command TRUE)
  endif()
endforeach()
execute_process(COMMAND ${command} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE errors)
message("${output}${errors}")
if(NOT code EQUAL 0)
  message(FATAL_ERROR "it ended with ${code}")
elseif(NOT output MATCHES "${EXPECTED}")
  message(FATAL_ERROR "its output does not match: ${EXPECTED}")
endif()
