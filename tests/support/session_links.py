"""Interfaces inside a session that a test takes away behind the engine's back."""

from __future__ import annotations

from pytest_pods.engine.host.sandbox import Sandbox
from pytest_pods.engine.network.netlink import Netlink


def remove_link(sandbox: Sandbox, name: str) -> None:
    """Fails if there is no such interface."""
    with Netlink(sandbox) as session:
        assert session.remove_link_of_name(name), f"no interface {name}"
