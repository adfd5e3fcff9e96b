"""Readiness and start-up probes as waits.

A test waits for its pod, so it is looked more often than `periodSeconds` says, and from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from pytest_pods.engine.errors import PodsError, SandboxLostError
from pytest_pods.engine.kube.tables import IGNORED
from pytest_pods.engine.waiting import Readiness

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.kube.values import Fields, Value

_MOST_BODY_BYTES = 1 << 16
_LONGEST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """What is looked at: `port` and `path` for `http`, `port` for `tcp`, `command` for `exec`; times are seconds."""

    kind: Literal["http", "tcp", "exec"]
    port: int = 0
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    delay: int = 0
    period: int = 10
    timeout: int = 1
    successes: int = 1
    failures: int = 3

    def describe(self) -> str:
        if self.kind == "http":
            return f"GET {self.path} on port {self.port}"
        return f"port {self.port}" if self.kind == "tcp" else f"command {' '.join(self.command)!r}"

    def look(self, container: Container) -> Readiness:
        try:
            return _LOOKS[self.kind](self, container)
        except SandboxLostError:
            raise
        except TimeoutError:
            return Readiness(False, f"no answer within {self.timeout} s")
        except OSError as error:
            return Readiness(False, error.strerror or str(error))
        except PodsError as error:
            return Readiness(False, error.brief)


@dataclass(frozen=True, slots=True)
class ProbeWait:
    """A wait for a container's start-up probe, and then for its readiness probe."""

    startup: Probe | None = None
    readiness: Probe | None = None
    _progress: WeakKeyDictionary[Any, dict[object, int]] = field(
        default_factory=WeakKeyDictionary, repr=False, compare=False
    )

    @property
    def timeout(self) -> float | None:
        """Kubernetes gives up on a start-up probe alone."""
        if self.startup is None:
            return None
        return float(self.startup.delay + self.startup.period * self.startup.failures)

    @property
    def watches_log(self) -> bool:
        return False

    @property
    def accepts_exit(self) -> bool:
        return False

    def interval_s(self, look: int) -> float:
        return min(0.005 * 1.4 ** min(look, 40), _LONGEST_PAUSE_S)

    def check(self, container: Container) -> Readiness:
        seen = self._progress.setdefault(container, {})
        for name, probe in (("startup", self.startup), ("readiness", self.readiness)):
            if probe is None:
                continue
            key = (name, container.started_at)
            if name == "startup" and seen.get(key, 0) >= probe.successes:
                continue
            found = probe.look(container)
            seen[key] = seen.get(key, 0) + 1 if found.ready else 0
            if not found.ready:
                return Readiness(False, f"{probe.describe()}: {found.seen}")
            if seen[key] < probe.successes:
                return Readiness(False, f"{probe.describe()}: {seen[key]} of {probe.successes}")
        return Readiness(True)

    def describe(self) -> str:
        return " and ".join(one.describe() for one in (self.startup, self.readiness) if one is not None)


def _look_http(probe: Probe, container: Container) -> Readiness:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("localhost", probe.port, timeout=probe.timeout)
    stream = container.connect(probe.port, timeout=probe.timeout)
    try:
        if probe.scheme == "HTTPS":
            import ssl

            # As Kubernetes does it: whose certificate it is, is not asked.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            stream = context.wrap_socket(stream)
        connection.sock = stream
        connection.request("GET", probe.path, headers={"Connection": "close", **dict(probe.headers)})
        with connection.getresponse() as response:
            response.read(_MOST_BODY_BYTES)
            return Readiness(200 <= response.status < 400, f"status {response.status}")
    except HTTPException as error:
        return Readiness(False, f"{type(error).__name__}: {error}")
    finally:
        stream.close()
        connection.close()


def _look_tcp(probe: Probe, container: Container) -> Readiness:
    container.connect(probe.port, timeout=probe.timeout).close()
    return Readiness(True)


def _look_exec(probe: Probe, container: Container) -> Readiness:
    result = container.exec(probe.command, timeout=probe.timeout)
    return Readiness(result.exit_code == 0, f"exit code {result.exit_code}")


_LOOKS = {"http": _look_http, "tcp": _look_tcp, "exec": _look_exec}


def parse_probe(value: Value, ports: Mapping[str, int]) -> Probe:
    """`ports` are the container's, by name. Raises KubeDocumentError."""
    fields = value.fields()
    kinds = [name for name in ("httpGet", "tcpSocket", "exec", "grpc") if fields.find(name) is not None]
    if len(kinds) != 1:
        value.fail("has to have one of httpGet, tcpSocket and exec")
    asked = fields.get(kinds[0])
    if kinds[0] == "grpc":
        asked.fail("is not supported", hint="httpGet, tcpSocket and exec are")
    times: dict[str, Any] = {
        name: found.number(least=least)
        for name, field_name, least in (
            ("delay", "initialDelaySeconds", 0),
            ("period", "periodSeconds", 1),
            ("timeout", "timeoutSeconds", 1),
            ("successes", "successThreshold", 1),
            ("failures", "failureThreshold", 1),
        )
        if (found := fields.find(field_name)) is not None
    }
    fields.finish(ignored=IGNORED["probe"])
    inner = asked.fields()
    if kinds[0] == "exec":
        command = inner.get("command")
        words = command.texts()
        if not words:
            command.fail("is empty")
        inner.finish()
        return Probe("exec", command=words, **times)
    port = _parse_port(inner.get("port"), ports)
    host = inner.find("host")
    if host is not None:
        host.fail("is not supported", hint="the container itself is asked, which needs no host")
    if kinds[0] == "tcpSocket":
        inner.finish()
        return Probe("tcp", port=port, **times)
    path = inner.text("path") or "/"
    scheme = inner.find("scheme")
    secure = scheme is not None and scheme.choice("HTTP", "HTTPS") == "HTTPS"
    headers = tuple(_parse_header(one.fields()) for one in inner.list("httpHeaders"))
    inner.finish()
    return Probe(
        "http", port, path if path.startswith("/") else f"/{path}", "HTTPS" if secure else "HTTP", headers, **times
    )


def _parse_header(fields: Fields) -> tuple[str, str]:
    found = fields.get("name").text(), fields.get("value").text()
    fields.finish()
    return found


def _parse_port(value: Value, ports: Mapping[str, int]) -> int:
    if isinstance(value.content, str) and not value.content.isdecimal():
        if value.content not in ports:
            value.fail(f"names the port {value.content!r}, which the container does not have",
                       hint=f"it has: {', '.join(ports) or 'none with a name'}")
        return ports[value.content]
    if isinstance(value.content, str):
        return int(value.content)
    return value.number(least=1, most=65535)
