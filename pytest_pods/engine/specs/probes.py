"""What is looked at to tell whether a container is well, and how often, in Kubernetes' terms."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_pods.frozen import frozen

TargetKind: TypeAlias = Literal["exec", "tcp", "http"]


@frozen
class Target:
    """What is looked at: `command` is executed in the container; `port` of it is connected to, for http with a request
    for `path`."""

    kind: TargetKind
    port: int = 0
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()

    def describe(self) -> str:
        """For messages: `port 6379`, `command 'test -e /ready'`."""
        if self.kind == "http":
            return f"GET {self.path} on port {self.port}"
        return f"port {self.port}" if self.kind == "tcp" else f"command {' '.join(self.command)!r}"


@frozen
class Probe:
    """A target, and when it is looked at: `delay`, `period`, `timeout` and `grace` are seconds, `successes` and
    `failures` how many in a row count. `grace` is what a container gets before it is killed, None for its own."""

    target: Target
    delay: float = 0
    period: float = 10
    timeout: float = 1
    successes: int = 1
    failures: int = 3
    grace: float | None = None
