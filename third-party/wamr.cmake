# SPDX-License-Identifier: Apache-2.0
# Finds the source of WAMR and defines the static library `anywasm_wamr`: WAMR's loader and, through our
# src/_core/engines/wamr_interp.c, its fast interpreter. WAMR's own CMake files are not used. README.md tells why
# these settings, and what is changed in the copies that are compiled.

set(ANYWASM_SIMDE_INCLUDE "" CACHE PATH "Folder that has simde/wasm/simd128.h, for vector instructions in WAMR")

# --- the source ----------------------------------------------------------------------------------------------

include(${CMAKE_CURRENT_LIST_DIR}/find_wamr.cmake)
anywasm_find_wamr(WAMR_SOURCE)
message(STATUS "WAMR: ${WAMR_SOURCE}")

# A changed copy of a file: each pair is a text that must stand in it exactly once, and what replaces it. A semicolon,
# which would end an element of CMake's lists, is written $<SEMICOLON>.
function(anywasm_change_wamr file result)
  file(READ ${WAMR_SOURCE}/core/iwasm/${file} text)
  set(pairs ${ARGN})
  while(pairs)
    list(POP_FRONT pairs from to)
    string(REPLACE "$<SEMICOLON>" ";" from "${from}")
    string(REPLACE "$<SEMICOLON>" ";" to "${to}")
    string(FIND "${text}" "${from}" first)
    string(FIND "${text}" "${from}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
      message(FATAL_ERROR "${file} of WAMR in ${WAMR_SOURCE} is not that of 2.4.3: expected once: ${from}")
    endif()
    string(REPLACE "${from}" "${to}" text "${text}")
  endwhile()
  get_filename_component(name ${file} NAME)
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/wamr/changed_${name})
  set(written "")
  if(EXISTS ${copy})
    file(READ ${copy} written)
  endif()
  if(NOT written STREQUAL text)  # else nothing would be compiled anew
    file(WRITE ${copy} "${text}")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WAMR_SOURCE}/core/iwasm/${file})
  set(${result} ${copy} PARENT_SCOPE)
endfunction()

# --- vector instructions ---------------------------------------------------------------------------------------

# Older versions of SIMDe give wrong results for some instructions.
function(anywasm_check_simde folder result)
  file(STRINGS ${folder}/simde/simde-common.h lines REGEX "define SIMDE_VERSION_(MAJOR|MINOR|MICRO) ")
  string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
  string(REPLACE ";" "." version "${numbers}")
  if(version VERSION_LESS 0.8.2)
    message(STATUS "SIMDe: ${folder} has version ${version}, 0.8.2 is needed")
    set(${result} "" PARENT_SCOPE)
  else()
    set(${result} ${folder} PARENT_SCOPE)
  endif()
endfunction()

set(WAMR_SIMDE "")
if(ANYWASM_SIMDE_INCLUDE)
  if(NOT EXISTS ${ANYWASM_SIMDE_INCLUDE}/simde/wasm/simd128.h)
    message(FATAL_ERROR "ANYWASM_SIMDE_INCLUDE: ${ANYWASM_SIMDE_INCLUDE} has no simde/wasm/simd128.h")
  endif()
  anywasm_check_simde(${ANYWASM_SIMDE_INCLUDE} WAMR_SIMDE)
else()
  if(Python_EXECUTABLE)  # the package simde-py carries them
    execute_process(
      COMMAND ${Python_EXECUTABLE} -c "import simde_py; print(simde_py.get_include(), end='')"
      OUTPUT_VARIABLE simde_hint ERROR_QUIET)
  endif()
  unset(ANYWASM_SIMDE_FOUND CACHE)  # it may be in a folder that was there for one build only
  find_path(ANYWASM_SIMDE_FOUND simde/wasm/simd128.h HINTS ${simde_hint})
  if(ANYWASM_SIMDE_FOUND)
    anywasm_check_simde(${ANYWASM_SIMDE_FOUND} WAMR_SIMDE)
  endif()
endif()
if(WAMR_SIMDE)
  set(WAMR_SIMD 1)
  message(STATUS "SIMDe: ${WAMR_SIMDE}")
else()
  set(WAMR_SIMD 0)
  message(STATUS "SIMDe: not found, so WAMR gets no vector instructions (pip install simde-py, or -DANYWASM_SIMDE_INCLUDE=DIR)")
endif()

# --- the changes -------------------------------------------------------------------------------------------------

# wamr_interp.c includes this and defines what the names mean that are put in here.
anywasm_change_wamr(interpreter/wasm_interp_fast.c WAMR_INTERPRETER
  # References to functions are numbers of the store's, not of the instance's, so that instances can share tables.
  "PUSH_I32(func_idx)"
  "PUSH_I32(anywasm_function_reference(module, func_idx))"
  "/* always call module own functions */
                cur_func = module->e->functions + fidx"
  "cur_func = anywasm_referenced_function(module, fidx)"
  # Imported functions are called through what is attached to them, not through a list by their index.
  "native_func_pointer = module_inst->import_func_ptrs[cur_func_index]"
  "native_func_pointer = cur_func"
  # An import that is called in tail position by the outermost function returns to the host.
  "so here we recover context from prev_frame */"
  "so here we recover context from prev_frame */
                if (!prev_frame->ip) {
                    return$<SEMICOLON>
                }"
  # Vectors are parameters of tail calls, too.
  "for (i = 0$<SEMICOLON> i < cur_func->param_count$<SEMICOLON> i++) {
            if (cur_func->param_types[i] == VALUE_TYPE_I64"
  "for (i = 0$<SEMICOLON> i < cur_func->param_count$<SEMICOLON> i++) {
            ANYWASM_COPY_VECTOR()
            if (cur_func->param_types[i] == VALUE_TYPE_I64"
  # Vectors are among several results, too, that a block leaves elsewhere than they are.
  "tmp_buf[buf_index + 1] = frame_lp[src + 1]"
  "tmp_buf[buf_index + 1] = frame_lp[src + 1]$<SEMICOLON>
            if (cell == 4) {
                tmp_buf[buf_index + 2] = frame_lp[src + 2]$<SEMICOLON>
                tmp_buf[buf_index + 3] = frame_lp[src + 3]$<SEMICOLON>
            }"
  "frame_lp[dst + 1] = tmp_buf[buf_index + 1]"
  "frame_lp[dst + 1] = tmp_buf[buf_index + 1]$<SEMICOLON>
            if (cell == 4) {
                frame_lp[dst + 2] = tmp_buf[buf_index + 2]$<SEMICOLON>
                frame_lp[dst + 3] = tmp_buf[buf_index + 3]$<SEMICOLON>
            }"
  # Fuel is counted by the store.
  "#define CHECK_INSTRUCTION_LIMIT() (void)0"
  "#define CHECK_INSTRUCTION_LIMIT() ANYWASM_COUNT_INSTRUCTION()")

# The loader knows modules and exports by name that are special to WAMR's own tools. Here no name is special.
anywasm_change_wamr(interpreter/wasm_loader.c WAMR_LOADER
  "if (!strcmp(\"spectest\", sub_module_name)) {
        const uint32" "if (false) {
        const uint32"
  "if (!strcmp(\"spectest\", sub_module_name)) {
        uint32" "if (false) {
        uint32"
  "else if (!strcmp(\"foo\", sub_module_name))" "else if (false)"
  "if (!strcmp(export->name, \"__heap_base\"))" "if (false)"
  # Giving up on a constant expression: plain constants on its stack have no tree that could be freed.
  "is_expr_binary_op(ctx->stack[j].expr->init_expr_type)"
  "ctx->stack[j].expr != NULL && is_expr_binary_op(ctx->stack[j].expr->init_expr_type)"
  # … and a tree that is of another type than expected has to be freed.
  "    if (cur_value->type != type) {"
  "    if (cur_value->type != type) {
        ctx->sp++$<SEMICOLON>"
  # There are atomic instructions that do not exist.
  "expect = mem_access_aligns[(opcode - WASM_OP_ATOMIC_I32_LOAD) % 7]"
  "expect = opcode < WASM_OP_ATOMIC_I32_LOAD ? 255 : mem_access_aligns[(opcode - WASM_OP_ATOMIC_I32_LOAD) % 7]"
  # A select of vectors, where it names its type, is an instruction of its own, too.
  "uint8 opcode_tmp = WASM_OP_SELECT$<SEMICOLON>

                    if (type == VALUE_TYPE_V128) {"
  "uint8 opcode_tmp = type == VALUE_TYPE_V128 ? ANYWASM_SELECT_VECTOR : WASM_OP_SELECT$<SEMICOLON>

                    if (false) {"
  # Where a block ended in code that is never reached, its place for results had been given to others.
  "free_label_patch_list(loader_ctx->frame_csp)$<SEMICOLON>
                if (loader_ctx->frame_csp->label_type == LABEL_TYPE_FUNCTION)"
  "free_label_patch_list(loader_ctx->frame_csp)$<SEMICOLON>
                anywasm_end_block(loader_ctx)$<SEMICOLON>
                if (loader_ctx->frame_csp->label_type == LABEL_TYPE_FUNCTION)"
  # Engines load modules for different interpreters, in any thread.
  "static void **handle_table" "static _Thread_local void **handle_table"
  # Backtraces tell where in the module, which wamr_loader.c finds out when it is asked.
  "disable_emit = false$<SEMICOLON>
        emit_label(opcode)"
  "disable_emit = false$<SEMICOLON>
        ANYWASM_NOTE_OFFSET(loader_ctx->p_code_compiled, p_org - 1)$<SEMICOLON>
        emit_label(opcode)"
  # Memories keep pages of 64 KiB, also where the module never grows them: the host may.
  "if (!module->possible_memory_grow)" "if (false)")

# --- the library -------------------------------------------------------------------------------------------------

if(APPLE)
  set(WAMR_PLATFORM darwin)
  set(WAMR_PLATFORM_MACRO BH_PLATFORM_DARWIN)
else()
  set(WAMR_PLATFORM linux)
  set(WAMR_PLATFORM_MACRO BH_PLATFORM_LINUX)
endif()

set(WAMR_OUR_FOLDER ${CMAKE_CURRENT_LIST_DIR}/../src/_core/engines)
set(WAMR_SOURCES
  ${WAMR_OUR_FOLDER}/wamr_loader.c  # includes the changed copy, as wamr_interp.c does
  ${WAMR_SOURCE}/core/iwasm/common/wasm_loader_common.c
  ${WAMR_SOURCE}/core/shared/utils/bh_bitmap.c
  ${WAMR_SOURCE}/core/shared/utils/bh_common.c
  ${WAMR_SOURCE}/core/shared/utils/bh_leb128.c
  ${WAMR_SOURCE}/core/shared/utils/bh_list.c)
set(WAMR_OURS
  ${WAMR_OUR_FOLDER}/wamr.c
  ${WAMR_OUR_FOLDER}/wamr_platform.c
  ${WAMR_OUR_FOLDER}/wamr_instance.c
  ${WAMR_OUR_FOLDER}/wamr_run.c)
add_library(anywasm_wamr STATIC ${WAMR_SOURCES} ${WAMR_OURS})

# The interpreter, three times: for code that runs freely, that can be interrupted, and that also counts fuel.
foreach(checks RANGE 2)
  add_library(anywasm_wamr_interp_${checks} OBJECT ${WAMR_OUR_FOLDER}/wamr_interp.c)
  target_compile_definitions(anywasm_wamr_interp_${checks} PRIVATE ANYWASM_CHECKS=${checks})
  target_sources(anywasm_wamr PRIVATE $<TARGET_OBJECTS:anywasm_wamr_interp_${checks}>)
  list(APPEND WAMR_PARTS anywasm_wamr_interp_${checks})
endforeach()

set(WAMR_INCLUDES
  ${WAMR_SOURCE}/core
  ${WAMR_SOURCE}/core/iwasm/include
  ${WAMR_SOURCE}/core/iwasm/common
  ${WAMR_SOURCE}/core/iwasm/interpreter
  ${WAMR_SOURCE}/core/shared/utils
  ${WAMR_SOURCE}/core/shared/mem-alloc
  ${WAMR_SOURCE}/core/shared/platform/${WAMR_PLATFORM}
  ${WAMR_SOURCE}/core/shared/platform/include)

set(WAMR_DEFINITIONS
  _GNU_SOURCE
  ${WAMR_PLATFORM_MACRO}
  BH_MALLOC=wasm_runtime_malloc
  BH_FREE=wasm_runtime_free
  BH_LOG=anywasm_wamr_log
  WASM_ENABLE_INTERP=1
  WASM_ENABLE_FAST_INTERP=1
  WASM_DISABLE_HW_BOUND_CHECK=0
  WASM_DISABLE_STACK_HW_BOUND_CHECK=1
  WASM_DISABLE_WRITE_GS_BASE=1
  WASM_DISABLE_WAKEUP_BLOCKING_OP=1
  WASM_ENABLE_BULK_MEMORY=1
  WASM_ENABLE_BULK_MEMORY_OPT=1
  WASM_ENABLE_REF_TYPES=1
  WASM_ENABLE_CALL_INDIRECT_OVERLONG=1
  WASM_ENABLE_TAIL_CALL=1
  WASM_ENABLE_EXTENDED_CONST_EXPR=1
  WASM_ENABLE_SHARED_MEMORY=1
  WASM_ENABLE_THREAD_MGR=0
  WASM_ENABLE_MULTI_MODULE=0
  WASM_ENABLE_SHRUNK_MEMORY=0
  WASM_ENABLE_QUICK_AOT_ENTRY=0
  WASM_ENABLE_SIMD=${WAMR_SIMD}
  WASM_ENABLE_SIMDE=${WAMR_SIMD}
  WASM_HAVE_MREMAP=1)

# WAMR stores unaligned on purpose, and more that sanitizers of undefined behaviour stop at.
set_source_files_properties(${WAMR_SOURCES} ${WAMR_OUR_FOLDER}/wamr_interp.c PROPERTIES
  COMPILE_OPTIONS "-w;-fno-sanitize=undefined")
# Ours does not recurse as deep as the module wants.
set_source_files_properties(${WAMR_SOURCE}/core/iwasm/common/wasm_loader_common.c PROPERTIES
  COMPILE_DEFINITIONS destroy_init_expr_recursive=anywasm_unused_destroy)
set_source_files_properties(${WAMR_OURS} PROPERTIES  # the interpreter's frames are aligned to 4 bytes
  COMPILE_OPTIONS "-fno-sanitize=alignment;-Wall;-Wextra;$<$<BOOL:${ANYWASM_WARNINGS_ARE_ERRORS}>:-Werror>")

foreach(part anywasm_wamr ${WAMR_PARTS})
  target_include_directories(${part} SYSTEM PRIVATE
    ${WAMR_INCLUDES}
    ${CMAKE_CURRENT_BINARY_DIR}/wamr  # the changed copies
    ${WAMR_SIMDE})
  target_compile_definitions(${part} PRIVATE ${WAMR_DEFINITIONS})  # all the same: the headers' structs depend on them
  # Aliasing: the interpreter reads its operand stack as any type. Sections: the linker drops what nobody calls.
  target_compile_options(${part} PRIVATE
    -fno-strict-aliasing -ffunction-sections -fdata-sections $<$<NOT:$<CONFIG:Debug>>:-O2>)
  set_target_properties(${part} PROPERTIES
    POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden C_STANDARD 11 C_EXTENSIONS ON)
endforeach()
target_link_libraries(anywasm_wamr PUBLIC m)
if(NOT APPLE)
  target_link_options(anywasm_wamr INTERFACE -Wl,--gc-sections)
endif()
