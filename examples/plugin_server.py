# SPDX-License-Identifier: Apache-2.0
"""A plugin behind HTTP: each request has a fresh instance, a tenth of a second and a megabyte.

    curl --data '1+2*(3+4)' http://127.0.0.1:8000/

plugin.c beside this is what plugin.wasm was compiled from. Run without arguments, this asks itself a few questions.
"""

import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anywasm

PLUGIN = Path(__file__).with_name("plugin.wasm")
LONGEST = 60_000  # bytes of a question


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], plugin: Path = PLUGIN, timeout: float = 0.1) -> None:
        self.pool = anywasm.Pool(plugin, 2, max_size=8, memory=1 << 20, timeout=timeout)
        super().__init__(address, Handler)

    def server_close(self) -> None:
        super().server_close()
        self.pool.close()
        self.pool.interrupt()  # what runs now need not end by itself


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST:
            return self.reply(413, f"a question has at most {LONGEST:,} bytes")
        try:
            return self.reply(200, str(self.calculate(self.rfile.read(int(length)))))
        except TimeoutError:  # of Pool.get
            return self.reply(503, "too many questions at once")
        except anywasm.Trap as error:
            return self.reply(502, f"the plugin failed: {error.code}")
        except IndexError:  # it gave an address outside of its memory
            return self.reply(502, "the plugin failed: no room for the question")
        except anywasm.LimitError:
            return self.reply(504, "the plugin was stopped")

    def calculate(self, question: bytes) -> int:
        with self.server.pool.get(timeout=1) as plugin:
            exports = plugin.exports
            exports.memory.write(exports.buffer(), question + b"\0")
            answer: int = exports.calculate()
            return answer

    def reply(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def ask(server: Server, question: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", question.encode()) as response:
            return f"{response.status} {response.read().decode().rstrip()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode().rstrip()}"


def show() -> None:
    with Server(("127.0.0.1", 0)) as server:
        threading.Thread(target=server.serve_forever).start()
        for question in ("1+2*(3+4)", "7!", "1/0", "9" * 18 + "!", "(" * 50_000, "1" * 70_000, "2*2"):
            shown = question if len(question) < 10 else f"{question[:3]}...{question[-1]}"
            print(f"{shown:9}  {ask(server, question)}")
        server.shutdown()


def serve(port: int) -> None:
    with Server(("127.0.0.1", port)) as server:
        print(f"serving on http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped:", server.pool.stats)


if __name__ == "__main__":
    serve(int(sys.argv[1])) if len(sys.argv) > 1 else show()
