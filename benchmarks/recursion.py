# SPDX-License-Identifier: Apache-2.0
"""What a round trip costs when guest and host call each other, one inside the other."""

from __future__ import annotations

from guests import Guest
from harness import WASM, Way, case, main

DEPTH = 50

MODULE = """
(module
  (import "host" "f" (func $host (param i32) (result i32)))
  (func (export "f") (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (call $host (i32.sub (local.get $n) (i32.const 1))))
      (else (i32.const 7)))))
"""


@case("guest calls host calls guest", ("python", *WASM))
def both(system: str) -> Way:
    if system == "python":

        def inner(n: int) -> int:
            return host(n - 1) if n else 7

        host = lambda n: inner(n)  # noqa: E731
        return Way(f"f({DEPTH})", {"f": inner}, inner=DEPTH)

    def back(n: int) -> int:
        return f(store, n) if with_store else f(n)

    guest = Guest(system, MODULE, back, "i(i)")
    f, store, with_store = guest.function("f"), guest.store, system == "wasmtime-py"
    return guest.call("f", str(DEPTH), inner=DEPTH)


if __name__ == "__main__":
    main("recursion")
