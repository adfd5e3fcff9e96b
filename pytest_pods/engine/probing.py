"""Looking at a container as a probe or a health check says, and waiting for Kubernetes' probes.

A test waits for its pod, so it is looked more often than a probe's period says, and from the beginning.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pytest_pods.engine.deadline import LONGEST_POLL_S
from pytest_pods.engine.errors import DeadlineExceededError, PodsError, SandboxLostError
from pytest_pods.engine.health import NO_ANSWER
from pytest_pods.engine.waiting import PlainWait, Readiness
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.specs.probes import Probe, Target

_MOST_BODY_BYTES = 1 << 10
_MOST_OUTPUT_BYTES = 1 << 12


@frozen
class Look:
    """What one look has found: 0 for well, else the command's exit code, 1, or -1 for no answer in time."""

    exit_code: int
    output: str = ""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def look_at(target: Target, container: Container, *, timeout: float) -> Look:
    """Looks once. Raises PodsError if that cannot be done: WrongStateError if the container does not run, say."""
    timeout = min(timeout, LONGEST_POLL_S)
    try:
        return _LOOKS[target.kind](target, container, timeout)
    except (TimeoutError, DeadlineExceededError):
        return Look(NO_ANSWER, f"no answer within {timeout:g} s")
    except OSError as error:
        return Look(1, error.strerror or str(error))


def _look_exec(target: Target, container: Container, timeout: float) -> Look:
    result = container.exec(target.command, timeout=timeout, most_output=_MOST_OUTPUT_BYTES)
    return Look(result.exit_code, result.stdout + result.stderr)


def _look_tcp(target: Target, container: Container, timeout: float) -> Look:
    container.connect(target.port, timeout=timeout).close()
    return Look(0)


def _look_http(target: Target, container: Container, timeout: float) -> Look:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("localhost", target.port, timeout=timeout)
    stream = container.connect(target.port, timeout=timeout)
    try:
        if target.scheme == "HTTPS":
            import ssl

            # As Kubernetes does it: whose certificate it is, is not asked.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            stream = context.wrap_socket(stream)
        connection.sock = stream
        connection.request("GET", target.path, headers={"Connection": "close", **dict(target.headers)})
        with connection.getresponse() as response:
            status = f"status {response.status}"
            # The body may have no end; what came with the head has to do.
            return Look(0, status) if 200 <= response.status < 400 else Look(1, f"{status}{_read_reason(response)}")
    except HTTPException as error:
        return Look(1, f"{type(error).__name__}: {error}")
    finally:
        stream.close()
        connection.close()


def _read_reason(response: HTTPResponse) -> str:
    try:
        said = response.read1(_MOST_BODY_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f": {said}" if said else ""


_LOOKS = {"exec": _look_exec, "tcp": _look_tcp, "http": _look_http}


@frozen
class ProbeWait(PlainWait):
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

    def check(self, container: Container) -> Readiness:
        seen = self._progress.setdefault(container, {})
        for name, probe in (("startup", self.startup), ("readiness", self.readiness)):
            if probe is None:
                continue
            key = (name, container.started_at)
            if name == "startup" and seen.get(key, 0) >= probe.successes:
                continue
            found = _probe(probe, container)
            seen[key] = seen.get(key, 0) + 1 if found.ready else 0
            if not found.ready:
                return Readiness(False, f"{probe.target.describe()}: {found.seen}")
            if seen[key] < probe.successes:
                return Readiness(False, f"{probe.target.describe()}: {seen[key]} of {probe.successes}")
        return Readiness(True)

    def describe(self) -> str:
        return " and ".join(one.target.describe() for one in (self.startup, self.readiness) if one is not None)


def _probe(probe: Probe, container: Container) -> Readiness:
    try:
        found = look_at(probe.target, container, timeout=probe.timeout)
    except SandboxLostError:
        raise
    except PodsError as error:
        return Readiness(False, error.brief)
    said = found.output.strip()
    if probe.target.kind == "exec" and found.exit_code != NO_ANSWER:
        said = f"exit code {found.exit_code}{f': {said}' if said else ''}"
    return Readiness(found.ok, said)
