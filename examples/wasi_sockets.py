# SPDX-License-Identifier: Apache-2.0
"""A WASI program serves on a socket that it is handed: a listening one, of which it accepts a connection."""

import socket
import threading
from pathlib import Path

import anywasm


def ask(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"Is there anybody?")
        connection.shutdown(socket.SHUT_WR)
        print("answered:", connection.makefile("rb").read())


with socket.create_server(("127.0.0.1", 0)) as listener:
    client = threading.Thread(target=ask, args=[listener.getsockname()])
    client.start()
    done = anywasm.run(Path(__file__).with_name("echo.wasm"), sockets=[listener], timeout=60)
    client.join()
print("status", done.returncode)
