"""Probes of Kubernetes documents: readiness and start-up probes are waits, liveness probes health checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.probing import ProbeWait
from pytest_pods.engine.specs.health import HealthCheck
from pytest_pods.engine.specs.probes import Probe, Target

if TYPE_CHECKING:
    from pytest_pods.engine.kube.values import Fields, Value


def read_probes(fields: Fields, ports: Mapping[str, int], *, init: bool, grace: float) -> dict[str, Any]:
    """The options `wait` and `health` of a container; `ports` are its own, by name, `grace` is its time before a kill.

    Raises KubeDocumentError.
    """
    found = {
        kind: (value, parse_probe(value, ports))
        for kind in ("startup", "readiness", "liveness")
        if (value := fields.find(f"{kind}Probe")) is not None
    }
    if found and init:
        fields.value.fail("has a probe: what is awaited of an init container is its end")
    for kind in ("startup", "liveness"):
        if kind in found and found[kind][1].successes != 1:
            found[kind][0].fail("has a successThreshold other than 1: once is enough for it")
    startup, readiness = (found[kind][1] if kind in found else None for kind in ("startup", "readiness"))
    options: dict[str, Any] = {}
    if startup is not None or readiness is not None:
        options["wait"] = ProbeWait(startup, readiness)
    if "liveness" in found:
        value, probe = found["liveness"]
        options["health"] = value.checked(lambda: build_health_check(probe, startup=startup, grace=grace))
    return options


def build_health_check(probe: Probe, *, startup: Probe | None, grace: float) -> HealthCheck:
    """A liveness probe as a health check. A container that fails is ended, and its restart policy decides. Pure."""
    return HealthCheck(
        target=probe.target,
        delay=probe.delay,
        interval=probe.period,
        timeout=probe.timeout,
        retries=probe.failures,
        startup=startup,
        grace=grace if probe.grace is None else probe.grace,
        on_failure="kill",
    )


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
            ("grace", "terminationGracePeriodSeconds", 1),
        )
        if (found := fields.find(field_name)) is not None
    }
    fields.finish()
    inner = asked.fields()
    if kinds[0] == "exec":
        command = inner.get("command")
        words = command.texts()
        if not words:
            command.fail("is empty")
        inner.finish()
        return Probe(Target("exec", command=words), **times)
    port = _parse_port(inner.get("port"), ports)
    host = inner.find("host")
    if host is not None:
        host.fail("is not supported", hint="the container itself is asked, which needs no host")
    if kinds[0] == "tcpSocket":
        inner.finish()
        return Probe(Target("tcp", port), **times)
    path = inner.text("path") or "/"
    scheme = inner.find("scheme")
    secure = scheme is not None and scheme.choice("HTTP", "HTTPS") == "HTTPS"
    headers = tuple(_parse_header(one.fields()) for one in inner.list("httpHeaders"))
    inner.finish()
    whole = path if path.startswith("/") else f"/{path}"
    return Probe(Target("http", port, whole, "HTTPS" if secure else "HTTP", headers), **times)


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
