"""Sends copies of a recording from four processes at a chosen rate, and stands in for Jaeger and Loki.

All of it as cheap as Python can be, or it would be the limit and not the Collector. Not for what is sent
(``recording.py``) nor for what becomes of it (``bench.py``).
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import cast
from urllib.parse import urlsplit

import grpc

from .recording import HOST, Copies, Recording

SENDERS = 4
# Not forked: gRPC has threads.
_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Load:
    """What each sender has to do: so many copies, evenly over so many seconds."""

    url: str
    copies: int
    seconds: float
    compressed: bool = False


class Senders:
    """Four processes that send *recording*, each one request at a time."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._exits = ExitStack()

    def __enter__(self) -> Senders:
        copies = Copies(self.recording)
        self._pipes = [self._exits.enter_context(_process(_send, copies)) for _ in range(SENDERS)]
        return self

    def __exit__(self, *error: object) -> None:
        self._exits.close()

    def prepare(self, load: Load) -> None:
        """Have the requests made, so that this takes no time later."""
        for pipe in self._pipes:
            pipe.send(load)
        for pipe in self._pipes:
            pipe.recv()

    def begin(self, at: float) -> None:
        """Have them sent from the time *at* of ``time.monotonic()`` on."""
        for pipe in self._pipes:
            pipe.send(at)

    @property
    def done(self) -> bool:
        """Whether everything has been answered."""
        return all(pipe.poll() for pipe in self._pipes)

    def refused(self) -> int:
        """Return the number of requests that were not accepted, once all is done."""
        return sum(pipe.recv() for pipe in self._pipes)


def _send(pipe: Connection, copies: Copies) -> None:
    """Do what *pipe* says until it says None: take a load, answer when it is made, take the time to begin."""
    load: Load | None
    while (load := pipe.recv()) is not None:
        address, compressed = urlsplit(load.url), load.compressed
        messages = [
            _message(path, body, address.netloc, compressed) for _ in range(load.copies) for path, body in copies.make()
        ]
        pipe.send(None)
        begin, refused = pipe.recv(), 0
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            for number, message in enumerate(messages):
                time.sleep(max(0.0, begin + load.seconds * number / len(messages) - time.monotonic()))
                connection.sendall(message)
                refused += not _answer(connection).startswith(b"HTTP/1.1 200 ")
        pipe.send(refused)


def _message(path: str, body: bytes, host: str, compressed: bool) -> bytes:
    body = gzip.compress(body) if compressed else body
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/x-protobuf"]
    head += ["Content-Encoding: gzip"] if compressed else []
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _answer(connection: socket.socket) -> bytes:
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + _length(answer[:end]):
        if not (more := connection.recv(65536)):
            break
        answer += more
    return answer


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


@contextmanager
def stand_ins(jaeger: int = 0, loki: int = 0) -> Iterator[tuple[int, int]]:
    """Accept everything at once over gRPC and over HTTP, at these ports or any; yield the ports.

    The Collector has no exporter that discards. With one, sending would cost it nothing, which is a part of its work.
    """
    with _process(_accept, jaeger, loki) as pipe:
        yield pipe.recv()


def _accept(pipe: Connection, jaeger: int, loki: int) -> None:
    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Handler()], options=options)
    jaeger = server.add_insecure_port(f"{HOST}:{jaeger}")
    server.start()
    asyncio.run(_accept_http(pipe, jaeger, loki))
    server.stop(None)


async def _accept_http(pipe: Connection, jaeger: int, loki: int) -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(_Accept, HOST, loki) as server:
        pipe.send((jaeger, server.sockets[0].getsockname()[1]))
        await loop.run_in_executor(None, pipe.recv)


class _Accept(asyncio.Protocol):
    """Answers each HTTP request as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._head, self._missing = b"", 0

    def data_received(self, data: bytes) -> None:
        while data:
            if not self._missing:
                self._head += data
                end = self._head.find(b"\r\n\r\n")
                if end < 0:
                    return
                data, self._missing = self._head[end + 4 :], _length(self._head[:end])
                self._head = b""
            taken = min(len(data), self._missing)
            data, self._missing = data[taken:], self._missing - taken
            if not self._missing:
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def _process(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """Run *target* with a pipe and *arguments* as a process, and end it by saying None."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(None)
        process.join(10)
    finally:
        process.kill()
        process.join()
