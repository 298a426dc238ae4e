# SPDX-License-Identifier: Apache-2.0
"""C libraries in a sandbox, with C declarations: cffi for WebAssembly."""
