# SPDX-License-Identifier: Apache-2.0
"""Sockets that a program is handed: accepting, receiving, sending, waiting for them."""

import contextlib
import http.client
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import anywasm
from wasi_guest import DATA, NONBLOCK, OUT, SIZE, Failed, Guest

DATAGRAM_TYPE, STREAM_TYPE = 5, 6
READ, WRITE, SHUTDOWN, ACCEPT = 1 << 1, 1 << 6, 1 << 28, 1 << 29  # rights
PEEK, WAITALL = 1, 2
SOON = 20.0  # seconds; an outer bound on any machine, where "never" is a minute


class Sockets(Guest):
    """A guest with the calls on sockets."""

    def accept(self, fd: int = 3, flags: int = 0) -> int:
        self.call("sock_accept", fd, flags, OUT)
        return self.number(OUT)

    def recv(self, fd: int = 3, length: int = 4096, flags: int = 0) -> tuple[bytes, int]:
        self.call("sock_recv", fd, *self.vector(DATA, length), flags, OUT, OUT + 8)
        return self.memory.read(DATA, self.number(OUT)), self.number(OUT + 8, 2)

    def send(self, data: bytes, fd: int = 3) -> int:
        self.call("sock_send", fd, *self.vector(*self.put(DATA, data)), 0, OUT)
        return self.number(OUT)

    def shutdown(self, how: int, fd: int = 3) -> None:
        self.call("sock_shutdown", fd, how)


MakeGuest = Callable[..., Sockets]


@pytest.fixture
def guest_of(engine: anywasm.Engine) -> MakeGuest:
    return lambda *sockets, **settings: Sockets(engine, anywasm.Wasi(sockets=sockets, **settings))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets: the guest's, and the other end."""
    one, other = socket.socketpair()
    other.settimeout(60)
    with one, other:
        yield one, other


@pytest.fixture
def datagrams() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.settimeout(60)
    with one, other:
        yield one, other


def error_of(function: Callable[..., object], *arguments: object, **keywords: object) -> str:
    with pytest.raises(Failed) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


@contextlib.contextmanager
def meanwhile(function: Callable[[], object]) -> Iterator[None]:
    """Something happens a moment later, in another thread."""
    timer = threading.Timer(0.1, function)
    timer.start()
    yield
    timer.join()


def connect(listener: socket.socket) -> socket.socket:
    made = socket.create_connection(listener.getsockname())
    made.settimeout(60)
    return made


# --- accepting ----------------------------------------------------------------------------------------------------


def test_a_connection_is_accepted(guest_of: MakeGuest, listener: socket.socket) -> None:
    guest = guest_of(listener)
    with connect(listener) as client:
        fd = guest.accept()
        assert fd == 4
        client.sendall(b"hello")
        assert guest.recv(fd) == (b"hello", 0)
        assert guest.send(b"world", fd) == 5
        assert client.recv(100) == b"world"
        guest.close(fd)
        assert client.recv(100) == b""


def test_accepting_waits_for_somebody(guest_of: MakeGuest, listener: socket.socket) -> None:
    guest = guest_of(listener)
    clients: list[socket.socket] = []
    with meanwhile(lambda: clients.append(connect(listener))):
        assert guest.accept() == 4
    clients[0].close()


@pytest.mark.parametrize("timeout", [None, 0, 5])
def test_accepting_that_is_not_to_wait_says_so(
    guest_of: MakeGuest, listener: socket.socket, timeout: float | None
) -> None:
    listener.settimeout(timeout)
    guest = guest_of(listener)
    guest.call("fd_fdstat_set_flags", 3, NONBLOCK)
    assert error_of(guest.accept) == "AGAIN"
    assert os.get_blocking(listener.fileno()) == (timeout is None), "the user's socket is as it was"
    with connect(listener):
        poll(guest, ready("read", 3), clock(60 * 10**9))
        fd = guest.accept(flags=NONBLOCK)
        assert error_of(guest.recv, fd) == "AGAIN"
        assert error_of(guest.read, fd) == "AGAIN"


def test_a_connection_waits_though_the_listener_does_not(guest_of: MakeGuest, listener: socket.socket) -> None:
    guest = guest_of(listener)
    guest.call("fd_fdstat_set_flags", 3, NONBLOCK)
    with connect(listener) as client:
        poll(guest, ready("read", 3), clock(60 * 10**9))
        fd = guest.accept()
        assert guest.fdstat(fd)[1] == 0
        with meanwhile(lambda: client.sendall(b"x")):
            assert guest.recv(fd)[0] == b"x"


def test_two_programs_that_accept_from_one_socket_share_the_connections(
    engine: anywasm.Engine, listener: socket.socket
) -> None:
    accepted: list[int] = []

    def serve() -> None:
        guest = Sockets(engine, anywasm.Wasi(sockets=[listener]))
        for _ in range(20):
            guest.close(guest.accept())
            accepted.append(1)

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        connect(listener).close()
    for thread in threads:
        thread.join(60)
    assert len(accepted) == 40


def test_accepting_refuses_what_makes_no_sense(
    guest_of: MakeGuest, listener: socket.socket, pair: tuple[socket.socket, socket.socket]
) -> None:
    guest = guest_of(listener, pair[0])
    assert error_of(guest.accept, 4) == "INVAL"  # does not listen
    assert error_of(guest.accept, 1) == "NOTSOCK"
    assert error_of(guest.accept, 9) == "BADF"
    assert error_of(guest.accept, 3, 1) == "INVAL"  # a flag that is none of a socket's
    assert guest.errno("sock_accept", 3, 0, SIZE - 3) == "FAULT"
    assert error_of(guest.recv, 3) == "NOTCONN"
    assert error_of(guest.send, b"x", 3) == "PIPE"
    guest.call("fd_fdstat_set_rights", 3, 0, 0)
    assert error_of(guest.accept, 3) == "NOTCAPABLE"


def test_a_connection_is_left_to_wait_where_there_is_no_number_for_it(
    guest_of: MakeGuest, listener: socket.socket
) -> None:
    guest = guest_of(listener)
    clients = []
    try:
        for _ in range(1024 - 4):
            clients.append(connect(listener))
            guest.accept()
        clients.append(connect(listener))
        assert error_of(guest.accept) == "MFILE"
        guest.close(100)
        assert guest.accept() == 100
    finally:
        for client in clients:
            client.close()


# --- receiving and sending ----------------------------------------------------------------------------------------


def test_a_peek_leaves_what_it_saw(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    pair[1].sendall(b"hello")
    assert guest.recv(flags=PEEK, length=2) == (b"he", 0)
    assert guest.recv(flags=PEEK) == (b"hello", 0)
    assert guest.read(3, 4) == b"hell"
    assert guest.recv() == (b"o", 0)


@pytest.mark.parametrize("flags", [WAITALL, WAITALL | PEEK])
def test_waiting_for_all_waits_for_all(
    guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket], flags: int
) -> None:
    guest = guest_of(pair[0])
    pair[1].sendall(b"abc")
    with meanwhile(lambda: pair[1].sendall(b"defghijkl")):
        assert guest.recv(length=8, flags=flags) == (b"abcdefgh", 0)
    assert guest.recv()[0] == (b"abcdefghijkl" if flags & PEEK else b"ijkl")


@pytest.mark.parametrize("flags", [WAITALL, WAITALL | PEEK])
def test_waiting_for_all_ends_where_the_stream_ends(
    guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket], flags: int
) -> None:
    guest = guest_of(pair[0])
    pair[1].sendall(b"abc")
    with meanwhile(pair[1].close):
        assert guest.recv(length=8, flags=flags) == (b"abc", 0)


@pytest.mark.parametrize("flags", [WAITALL, WAITALL | PEEK])
def test_waiting_for_all_without_waiting_takes_what_is_there(
    guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket], flags: int
) -> None:
    guest = guest_of(pair[0])
    guest.call("fd_fdstat_set_flags", 3, NONBLOCK)
    assert error_of(guest.recv, flags=flags) == "AGAIN"
    pair[1].sendall(b"abc")
    assert guest.recv(length=8, flags=flags) == (b"abc", 0)


def test_vectors_are_filled_in_turn(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    guest.memory.write(OUT + 64, struct.pack("<8I", DATA, 2, 0, 0, DATA + 100, 3, DATA + 200, 50))
    with meanwhile(lambda: pair[1].sendall(b"bcdefg")):
        pair[1].sendall(b"a")
        guest.call("sock_recv", 3, OUT + 64, 3, WAITALL, OUT, OUT + 8)
    assert guest.number(OUT) == 5
    assert (guest.memory.read(DATA, 2), guest.memory.read(DATA + 100, 3)) == (b"ab", b"cde")
    guest.call("sock_send", 3, OUT + 64, 3, 0, OUT)
    assert guest.recv()[0] == b"fg"
    assert pair[1].recv(100) == b"abcde"


def test_a_message_that_does_not_fit_is_cut(
    guest_of: MakeGuest, datagrams: tuple[socket.socket, socket.socket]
) -> None:
    guest = guest_of(datagrams[0])
    datagrams[1].send(b"0123456789")
    datagrams[1].send(b"")
    datagrams[1].send(b"second")
    assert guest.recv(length=4, flags=PEEK) == (b"0123", 1)
    assert guest.recv(length=4, flags=WAITALL) == (b"0123", 1)
    assert guest.recv() == (b"", 0)
    assert guest.read(3) == b"second"
    assert guest.send(b"a whole message") == 15
    assert datagrams[1].recv(100) == b"a whole message"
    guest.put(DATA, bytes(SIZE - DATA))
    assert guest.errno("sock_send", 3, *guest.vector(0, 2**31), 0, OUT) == "FAULT"


def test_sending_waits_until_all_is_gone(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    guest = guest_of(pair[0])
    data = os.urandom(120_000)
    received = bytearray()

    def receive() -> None:
        while len(received) < len(data):
            received.extend(pair[1].recv(1000))

    with meanwhile(receive):
        assert guest.send(data) == len(data)
    assert received == data
    guest.call("fd_fdstat_set_flags", 3, NONBLOCK)
    assert 0 < guest.send(data) < len(data)
    assert error_of(guest.send, data) == "AGAIN"
    assert error_of(guest.write, 3, data) == "AGAIN"


def test_reading_and_writing_are_receiving_and_sending(
    guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]
) -> None:
    guest = guest_of(pair[0])
    assert guest.write(3, b"question") == 8
    assert pair[1].recv(100) == b"question"
    with meanwhile(lambda: pair[1].sendall(b"answer")):
        assert guest.read(3) == b"answer"
    assert error_of(guest.seek, 3, 0) == "SPIPE"
    assert guest.errno("fd_pread", 3, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert guest.errno("fd_pwrite", 3, *guest.vector(DATA, 4), 0, OUT) == "SPIPE"
    assert guest.recv(length=0) == (b"", 0)  # at once
    assert guest.send(b"") == 0


def test_a_shut_down_socket_ends(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    guest.shutdown(2)
    assert pair[1].recv(10) == b""
    assert error_of(guest.send, b"x") == "PIPE"
    pair[1].sendall(b"still")
    assert guest.recv()[0] == b"still"
    guest.shutdown(1)
    assert guest.recv()[0] == b""
    assert [error_of(guest.shutdown, how) for how in (0, 4, 2**32 - 1)] == ["INVAL"] * 3
    assert error_of(guest.shutdown, 3, 1) == "NOTSOCK"


def test_a_connection_that_was_reset_is_told(guest_of: MakeGuest, listener: socket.socket) -> None:
    guest = guest_of(listener)
    client = connect(listener)
    fd = guest.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert error_of(guest.recv, fd) == "CONNRESET"
    assert error_of(guest.send, b"x", fd) == "PIPE"


def test_results_and_flags_that_make_no_sense(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    pair[1].sendall(b"hello")
    vector = guest.vector(DATA, 100)
    assert guest.errno("sock_recv", 3, *vector, 0, SIZE - 3, OUT) == "FAULT"
    assert guest.errno("sock_recv", 3, *vector, 0, OUT, SIZE - 1) == "FAULT"
    assert guest.errno("sock_recv", 3, *vector, 4, OUT, OUT + 8) == "INVAL"
    assert guest.errno("sock_send", 3, *vector, 1, OUT) == "INVAL"
    assert guest.errno("sock_send", 3, *vector, 0, SIZE - 3) == "FAULT"
    assert guest.errno("sock_recv", 3, SIZE - 4, 1, 0, OUT, OUT + 8) == "FAULT"
    assert guest.errno("sock_recv", 3, *guest.vector(SIZE - 4, 5), 0, OUT, OUT + 8) == "FAULT"
    assert guest.recv()[0] == b"hello"  # nothing is lost by any of these


def test_rights_that_were_given_away(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    rights = guest.fdstat(3)[2]
    for right, call in ((READ, guest.recv), (WRITE, lambda: guest.send(b"x")), (SHUTDOWN, lambda: guest.shutdown(2))):
        rights &= ~right
        guest.call("fd_fdstat_set_rights", 3, rights, 0)
        assert error_of(call) == "NOTCAPABLE"


# --- what a socket is ---------------------------------------------------------------------------------------------


def test_a_socket_tells_what_it_is(
    guest_of: MakeGuest,
    listener: socket.socket,
    pair: tuple[socket.socket, socket.socket],
    datagrams: tuple[socket.socket, socket.socket],
) -> None:
    guest = guest_of(listener, pair[0], datagrams[0].fileno())
    assert [guest.fdstat(fd)[0] for fd in (3, 4, 5)] == [STREAM_TYPE, STREAM_TYPE, DATAGRAM_TYPE]
    assert [guest.fstat(fd).filetype for fd in (3, 4, 5)] == [STREAM_TYPE, STREAM_TYPE, DATAGRAM_TYPE]
    listening, connected = guest.fdstat(3)[2], guest.fdstat(4)[2]
    assert listening & (ACCEPT | SHUTDOWN | READ | WRITE) == ACCEPT | SHUTDOWN
    assert connected & (ACCEPT | SHUTDOWN | READ | WRITE) == SHUTDOWN | READ | WRITE
    assert guest.fdstat(3)[3] == connected
    assert guest.errno("fd_fdstat_set_flags", 3, 1) == "NOTSUP"  # append
    assert guest.errno("fd_prestat_get", 3, OUT) == "BADF"
    assert guest.errno("path_open", 3, 0, *guest.put(DATA, "x"), 0, 0, 0, 0, OUT) == "NOTDIR"


def test_sockets_come_after_the_mounts(
    engine: anywasm.Engine, pair: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    guest = Sockets(engine, anywasm.Wasi(sockets=[pair[0]], mounts={"/a": tmp_path, "/b": anywasm.wasi.Memory()}))
    assert [guest.fdstat(fd)[0] for fd in (3, 4, 5)] == [3, 3, STREAM_TYPE]


def test_a_socket_may_be_a_stream(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(stdin=pair[0].fileno(), stdout=pair[0].fileno())
    pair[1].sendall(b"question")
    assert guest.recv(0)[0] == b"question"
    guest.write(1, b"answer")
    assert pair[1].recv(100) == b"answer"


def test_the_users_socket_stays_open(engine: anywasm.Engine, pair: tuple[socket.socket, socket.socket]) -> None:
    settings = anywasm.Wasi(sockets=[pair[0]])
    for number in range(3):
        guest = Sockets(engine, settings)
        assert guest.send(b"%d" % number) == 1
        guest.close(3)
        guest.store.close()
    pair[0].sendall(b"3")
    assert pair[1].recv(100) == b"0123"


# --- waiting ------------------------------------------------------------------------------------------------------


def clock(timeout: int) -> bytes:
    return struct.pack("<QB7xI4xQQH6x", 7, 0, 1, timeout, 0, 0)


def ready(kind: str, fd: int) -> bytes:
    return struct.pack("<QB7xI28x", 100 + fd, {"read": 1, "write": 2}[kind], fd)


def poll(guest: Guest, *subscriptions: bytes) -> list[tuple[int, int, int, int, int]]:
    """Userdata, error, kind, bytes and flags of each event."""
    guest.put(DATA, b"".join(subscriptions))
    guest.call("poll_oneoff", DATA, DATA + 4096, len(subscriptions), OUT)
    return list(struct.iter_unpack("<QHB5xQH6x", guest.memory.read(DATA + 4096, 32 * guest.number(OUT))))


def test_sockets_are_waited_for(
    guest_of: MakeGuest, listener: socket.socket, pair: tuple[socket.socket, socket.socket]
) -> None:
    guest = guest_of(listener, pair[0])
    assert poll(guest, ready("read", 3), ready("read", 4), clock(1000)) == [(7, 0, 0, 0, 0)]
    assert poll(guest, ready("read", 3), ready("write", 4)) == [(104, 0, 2, 0, 0)]
    with meanwhile(lambda: pair[1].sendall(b"12345")):
        assert poll(guest, ready("read", 3), ready("read", 4)) == [(104, 0, 1, 5, 0)]
    clients: list[socket.socket] = []
    guest.recv(4)
    with meanwhile(lambda: clients.append(connect(listener))):
        assert poll(guest, ready("read", 3), ready("read", 4)) == [(103, 0, 1, 1, 0)]
    clients[0].close()


def test_a_peer_that_went_away_is_told(guest_of: MakeGuest, pair: tuple[socket.socket, socket.socket]) -> None:
    guest = guest_of(pair[0])
    pair[1].sendall(b"123")
    pair[1].shutdown(socket.SHUT_WR)
    assert poll(guest, ready("read", 3)) == [(103, 0, 1, 3, 1)]
    pair[1].close()
    assert poll(guest, ready("read", 3)) == [(103, 0, 1, 3, 1)]


# --- what cannot be handed in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sockets", "error", "message"),
    [
        (5, TypeError, r"sockets: expected a sequence of sockets, got int"),
        ([None], TypeError, r"sockets: \[0\]: expected a socket or its descriptor, got NoneType"),
        ([True], TypeError, r"sockets: \[0\]: expected a socket or its descriptor, got bool"),
        ([socket.socket], TypeError, r"sockets: \[0\]: expected a socket or its descriptor, got type"),
        ([-1], ValueError, r"sockets: \[0\]: -1 is no descriptor"),
        ([0] * 1001, ValueError, r"sockets: 1001 are too many, 1000 is the limit, mounts included"),
    ],
)
def test_what_is_no_socket_is_told(sockets: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        anywasm.Wasi(sockets=sockets)


def test_a_socket_that_encrypts_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with (
        context.wrap_socket(pair[0], do_handshake_on_connect=False) as wrapped,
        pytest.raises(TypeError, match="expected a plain socket, got SSLSocket"),
    ):
        anywasm.Wasi(sockets=[wrapped])


def test_a_closed_socket_is_told(engine: anywasm.Engine, pair: tuple[socket.socket, socket.socket]) -> None:
    settings = anywasm.Wasi(sockets=[pair[0]])
    pair[0].close()
    with pytest.raises(ValueError, match="is closed"):
        anywasm.Wasi(sockets=[pair[0]])
    with pytest.raises(ValueError, match="is closed"):
        anywasm.Store(engine, wasi=settings)


def test_a_descriptor_that_is_no_socket_is_told(engine: anywasm.Engine, tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file, pytest.raises(ValueError, match=rf"{file.fileno()} is no socket"):
        anywasm.Store(engine, wasi=anywasm.Wasi(sockets=[file]))  # type: ignore[list-item]
    with pytest.raises(OSError, match="Bad file descriptor"):
        anywasm.Store(engine, wasi=anywasm.Wasi(sockets=[9999]))


def test_sockets_show(pair: tuple[socket.socket, socket.socket]) -> None:
    assert repr(anywasm.Wasi(sockets=[7])) == "Wasi(sockets=(7,))"
    assert anywasm.Wasi(sockets=iter(pair)).sockets == pair


# --- programs -----------------------------------------------------------------------------------------------------


def ask(listener: socket.socket, question: bytes) -> bytes:
    with connect(listener) as client:
        client.sendall(question)
        answer = b""
        while data := client.recv(100):
            answer += data
        return answer


@pytest.mark.parametrize("way", [(), ("poll",)], ids=["waiting", "polling"])
def test_a_c_program_serves(
    engine: anywasm.Engine, compile_c: Callable[..., Path], programs: Path, listener: socket.socket, way: tuple[str]
) -> None:
    module = anywasm.Module(compile_c(programs / "server.c"), engine)
    answers: list[bytes] = []

    def client() -> None:
        answers.extend(ask(listener, question) for question in (b"hello", b"how are you?", b"bye"))

    with meanwhile(client):
        mounts = {"/": anywasm.wasi.Memory()}  # descriptor 3
        done = anywasm.run(module, ["4", *way], sockets=[listener], mounts=mounts, capture_output=True)
    assert (done.stderr, done.returncode) == (b"", 0)
    assert done.stdout == b"1: hello\n2: how are you?\n3: bye\n"
    assert answers == [b"HELLO\n", b"HOW ARE YOU?\n", b"BYE\n"]


@pytest.mark.slow
def test_a_go_program_serves_http(
    engine: anywasm.Engine, build_go: Callable[[str | Path], Path], programs: Path, listener: socket.socket
) -> None:
    module = anywasm.Module(build_go(programs / "echo"), engine)
    answers: list[bytes] = []

    def client() -> None:
        host, port = listener.getsockname()
        for method, path, body in (("GET", "/a", b""), ("POST", "/b", bytes(100_000)), ("GET", "/bye", b"")):
            connection = http.client.HTTPConnection(host, port, timeout=60)
            connection.request(method, path, body)
            answers.append(connection.getresponse().read())
            connection.close()

    with meanwhile(client):
        done = anywasm.run(module, sockets=[listener], capture_output=True)
    assert (done.stderr, done.returncode) == (b"", 0)
    assert done.stdout == b"http: Server closed\n"
    assert answers == [b"GET /a 0", b"POST /b 100000", b"GET /bye 0"]
