# SPDX-License-Identifier: Apache-2.0
"""Guests in two threads, which would run for ever: Ctrl-C reaches the main thread, which stops them."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import anywasm

module = anywasm.Module(
    anywasm.wat2wasm('(module (func (export "forever") (loop $again (br $again))))'),
    anywasm.Engine(interruptible=True),
)


def work(pool: anywasm.Pool) -> str:
    with pool.get() as guest:
        try:
            guest.exports.forever()
        except anywasm.LimitError:
            return "stopped"
    return "ended"


with anywasm.Pool(module, 2) as pool, ThreadPoolExecutor(2) as threads:
    futures = [threads.submit(work, pool) for _ in range(2)]
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()  # as if somebody had pressed Ctrl-C
    try:
        for future in futures:
            future.result()
    except KeyboardInterrupt:
        print("Ctrl-C")
        pool.interrupt()
    print([future.result() for future in futures])
