"""A proxy in front of a registry that misbehaves as told: it breaks connections, lies about content, asks to wait.

Real registries and the networks before them do all of this; the client has to cope.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.http_server import QuietHandler, serve

_HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers itself, without asking the registry."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CutAfter:
    """Announces the whole body, sends `amount` bytes of it and breaks the connection."""

    amount: int


@dataclass(frozen=True, slots=True)
class Change:
    """Sends another body (with its right length) and, where given, other headers; "" removes one."""

    body: Callable[[bytes], bytes] = lambda content: content
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Hides the request's Range from the registry: the whole blob is answered with status 200."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Does not answer until the proxy ends."""


Fault = Answer | CutAfter | Change | IgnoreRange | Hang


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    line: str
    headers: dict[str, str]


@dataclass(slots=True)
class FaultyProxy:
    """A running proxy; `host` stands for the registry in references."""

    upstream: str
    host: str = ""
    seen: list[Seen] = field(default_factory=list)
    _rules: list[tuple[re.Pattern[str], Fault, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reference(self, name: str) -> str:
        return f"{self.host}/{name}"

    def inject(self, pattern: str, fault: Fault, *, times: int = 1) -> None:
        """The next `times` requests whose "METHOD path" matches `pattern` meet `fault`; rules count in their order."""
        with self._lock:
            self._rules.append((re.compile(pattern), fault, times))

    def lines(self, pattern: str = "") -> list[str]:
        """The "METHOD path" of what arrived."""
        with self._lock:
            return [seen.line for seen in self.seen if re.search(pattern, seen.line)]

    def arrived(self, line: str, headers: dict[str, str]) -> Fault | None:
        """Notes a request; gives the fault that it is to meet."""
        with self._lock:
            self.seen.append(Seen(line, headers))
            for place, (pattern, fault, times) in enumerate(self._rules):
                if pattern.search(line):
                    self._rules[place : place + 1] = [(pattern, fault, times - 1)] if times > 1 else []
                    return fault
        return None


@contextlib.contextmanager
def run_faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """Runs a proxy before the registry at `upstream` (host:port, plain HTTP)."""
    proxy = FaultyProxy(upstream)
    ended = threading.Event()

    class Handler(QuietHandler):
        def _handle(self) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            fault = proxy.arrived(f"{self.command} {self.path}", dict(headers))
            if isinstance(fault, Hang):
                ended.wait(30)
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if isinstance(fault, Answer):
                self.answer(fault.status, fault.body, headers=fault.headers)
                return
            if isinstance(fault, IgnoreRange):
                headers.pop("Range", None)
            self._forward(body, headers, fault)

        def _forward(self, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
            connection = http.client.HTTPConnection(proxy.upstream, timeout=30)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body=body, headers={**headers, "Host": proxy.upstream})
                response = connection.getresponse()
                content = response.read()
                kept = {k: v for k, v in response.getheaders() if k.lower() not in _HOP_HEADERS}
                length = len(content)
                if self.command == "HEAD":
                    length = int(response.getheader("Content-Length") or 0)
                if isinstance(fault, Change):
                    content = fault.body(content)
                    length = len(content)
                    kept = {k: v for k, v in {**kept, **fault.headers}.items() if v}
            self.send_response(response.status)
            for name, value in kept.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "HEAD":
                return
            if isinstance(fault, CutAfter):
                self.wfile.write(content[: fault.amount])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    with serve(Handler) as port:
        proxy.host = f"127.0.0.1:{port}"
        try:
            yield proxy
        finally:
            ended.set()
