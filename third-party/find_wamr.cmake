# SPDX-License-Identifier: Apache-2.0
# anywasm_find_wamr(VARIABLE): the folder of WAMR's source, or a message that says what to install or to set.

function(anywasm_find_wamr result)
  if(ANYWASM_WAMR_SOURCE)
    set(source ${ANYWASM_WAMR_SOURCE})
    set(origin "ANYWASM_WAMR_SOURCE is not a checkout of WAMR")
  elseif(EXISTS ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../PKG-INFO)  # a source distribution, which carries it along
    set(source ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/wamr)
    set(origin "third-party/wamr is incomplete")
  else()
    find_program(ANYWASM_CARGO cargo HINTS $ENV{CARGO_HOME}/bin $ENV{HOME}/.cargo/bin)
    if(NOT ANYWASM_CARGO)
      message(FATAL_ERROR
        "cargo was not found, which fetches the source of the embedded engine WAMR. Install cargo 1.85 or newer (no Rust is "
        "compiled), or set ANYWASM_WAMR_SOURCE to a checkout of WAMR 2.4.3, or build without WAMR by ANYWASM_WAMR=OFF "
        "(cmake -DNAME=VALUE, pip install -C cmake.define.NAME=VALUE).")
    endif()
    execute_process(
      COMMAND ${ANYWASM_CARGO} metadata --locked --format-version 1 --manifest-path ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/Cargo.toml
      OUTPUT_VARIABLE metadata ERROR_VARIABLE complaint RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
      message(FATAL_ERROR
        "cargo could not fetch the source of WAMR:\n${complaint}\nCheck the network and that cargo is 1.85 or newer, or set "
        "ANYWASM_WAMR_SOURCE to a checkout of WAMR 2.4.3 (cmake -DNAME=VALUE, pip install -C cmake.define.NAME=VALUE).")
    endif()
    string(REGEX MATCH "\"manifest_path\":\"([^\"]*/wamrx-sys-[^/\"]*)/Cargo.toml\"" ignored "${metadata}")
    set(source ${CMAKE_MATCH_1}/wasm-micro-runtime)
    set(origin "the crate wamrx-sys lacks it")
  endif()
  if(NOT EXISTS ${source}/core/iwasm/interpreter/wasm_interp_fast.c)
    message(FATAL_ERROR "no source of WAMR in ${source}: core/iwasm/interpreter/wasm_interp_fast.c is missing (${origin})")
  endif()
  set(${result} ${source} PARENT_SCOPE)
endfunction()
