# SPDX-License-Identifier: Apache-2.0
"""The example that serves a plugin over HTTP, asked by real requests: many at once, hostile ones, hostile plugins."""

import http.client
import importlib.util
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import anywasm

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("plugin_server", EXAMPLES / "plugin_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(example: Any, engine: anywasm.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """serve(plugin, timeout): the server, running."""
    monkeypatch.setenv("ANYWASM_ENGINE", engine.name)
    running = []

    def start(plugin: Path = EXAMPLES / "plugin.wasm", timeout: float = 1.0) -> Any:
        server = example.Server(("127.0.0.1", 0), plugin, timeout)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server: Any, body: bytes, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode().rstrip()
    finally:
        connection.close()


def test_questions_are_answered(serve: Callable[..., Any]) -> None:
    server = serve()
    assert ask(server, b"1+2*(3+4)") == (200, "15")
    assert ask(server, b"") == (200, "0")
    assert ask(server, b"2*\xff\x00") == (200, "0")


def test_hammer_it_with_good_and_bad_questions(serve: Callable[..., Any]) -> None:
    server = serve()
    busy = (503, "too many questions at once")
    questions = {
        b"6*7": {(200, "42")},
        b"10!": {(200, "3628800")},
        b"1/0": {(502, "the plugin failed: integer divide by zero")},
        b"(" * 50_000: {(502, "the plugin failed: call stack exhausted")},
        b"9" * 18 + b"!": {(504, "the plugin was stopped")},
        b"-9223372036854775807/7": {(200, "-1317624576693539401")},
    }
    random.seed(3)
    asked = [question for question in questions for _ in range(12)]
    random.shuffle(asked)
    with ThreadPoolExecutor(12) as threads:
        for question, answer in zip(asked, threads.map(lambda question: ask(server, question), asked), strict=True):
            assert answer in {*questions[question], busy}, question[:20]
    stats = server.pool.stats
    assert (stats.in_use, stats.waiting) == (0, 0)
    assert stats.used + stats.timed_out == len(asked)
    assert ask(server, b"1+1") == (200, "2")


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "99999999999999999999", "60001", "\u0663"])
def test_a_strange_length_is_refused(serve: Callable[..., Any], length: str) -> None:
    server = serve()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(f"POST / HTTP/1.0\r\nContent-Length: {length}\r\n\r\n1+1".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.0 413")
    assert ask(server, b"1+1") == (200, "2")


def test_clients_that_say_nothing_or_go_away_take_no_instance(serve: Callable[..., Any]) -> None:
    server = serve()
    idle = [socket.create_connection(("127.0.0.1", server.server_port), timeout=60) for _ in range(4)]
    for connection in idle[:2]:
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: 50\r\n\r\n1+")
    assert ask(server, b"1+1") == (200, "2")
    for connection in idle:
        connection.close()
    assert ask(server, b"1+1") == (200, "2")
    while server.pool.stats.in_use:
        time.sleep(0.01)


HOSTILE = {
    "loops": ("(loop $again (br $again))", (504, "the plugin was stopped")),
    "traps": ("(unreachable)", (502, "the plugin failed: unreachable")),
    "grows": ("(loop $again (drop (memory.grow (i32.const 1))) (br $again))", (504, "the plugin was stopped")),
    "recurses": ("(drop (call $calculate))", (502, "the plugin failed: call stack exhausted")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_plugin_is_held(
    serve: Callable[..., Any], wat: Callable[[str], bytes], tmp_path: Path, name: str
) -> None:
    body, answer = HOSTILE[name]
    plugin = tmp_path / "plugin.wasm"
    plugin.write_bytes(
        wat(
            f"""(module (memory (export "memory") 1)
              (func (export "buffer") (result i32) (i32.const 0))
              (func $calculate (export "calculate") (result i64) {body} (i64.const 0)))"""
        )
    )
    server = serve(plugin, 0.2)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: ask(server, b"1"), range(8))) == [answer] * 8
    assert server.pool.stats.in_use == 0


@pytest.mark.parametrize("address", [-1, 0x7FFFFFFF, 65535])
def test_an_address_outside_of_its_memory_is_no_way_out(
    serve: Callable[..., Any], wat: Callable[[str], bytes], tmp_path: Path, address: int
) -> None:
    plugin = tmp_path / "plugin.wasm"
    plugin.write_bytes(
        wat(
            f"""(module (memory (export "memory") 1)
              (func (export "buffer") (result i32) (i32.const {address}))
              (func (export "calculate") (result i64) (i64.const 0)))"""
        )
    )
    assert ask(serve(plugin), b"1")[0] == 502


def test_its_end_stops_what_runs(serve: Callable[..., Any]) -> None:
    server = serve(timeout=600.0)
    with ThreadPoolExecutor(1) as threads:
        runs = threads.submit(ask, server, b"9" * 18 + b"!")
        while server.pool.stats.in_use == 0:
            time.sleep(0.01)
        server.server_close()
        assert runs.result() == (504, "the plugin was stopped")


def test_the_committed_plugin_does_what_its_source_does(
    serve: Callable[..., Any], compile_c: Callable[..., Path]
) -> None:
    flags = ("--target=wasm32-freestanding", "-nostdlib", "-Wl,--no-entry,-z,stack-size=65536")
    made = compile_c(EXAMPLES / "plugin.c", *flags)
    server = serve(made)
    for question, answer in {b"12-(3+4)*2": "-2", b"-5*-5": "25", b"3!!": "720", b"100/7/2": "7"}.items():
        assert ask(server, question) == (200, answer)
        assert ask(serve(), question) == (200, answer)
