"""Plain HTTP is for the loopback, and for what was named."""

from __future__ import annotations

import pytest

from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.engine.registry.hosts import InsecureHosts, is_loopback, registry_address


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("x.localhost", True),
        ("127.0.0.1:80", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("[::2]:5000", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("notlocalhost", False),
    ],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("host.name", True),
        ("host.name:5000", True),
        ("HOST.name", True),
        ("with.port:5000", True),
        ("with.port", False),
        ("with.port:5001", False),
        ("10.1.2.3:5000", True),
        ("11.0.0.1", False),
        ("[fd00::1]:80", True),
        ("other.name", False),
        ("sub.host.name", False),
    ],
)
def test_plain_http_is_allowed_where_named(address: str, allowed: bool) -> None:
    hosts = InsecureHosts.parse(["host.name", "with.port:5000", "10.0.0.0/8", "fd00::/8"])
    assert hosts.plain_allowed(address) is allowed


@pytest.mark.parametrize("entry", ["", " ", "http://host.name", "10.0.0.0/99", "host/path"])
def test_insecure_entry_is_refused(entry: str) -> None:
    with pytest.raises(InvalidSettingError, match="invalid insecure registry"):
        InsecureHosts.parse([entry])


def test_default_registry_is_reached_at_another_address() -> None:
    assert registry_address("docker.io") == "registry-1.docker.io"
    assert registry_address("host.name:1") == "host.name:1"
