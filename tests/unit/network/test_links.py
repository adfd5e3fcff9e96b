"""Names of a link's end in the session."""

from __future__ import annotations

import os

from pytest_pods.engine.network.links import name_host_link


def test_name_fits_an_interface_and_is_the_same_for_the_same_place() -> None:
    owner = "0123456789abcdef" * 4
    name = name_host_link(owner, "eth0")
    assert len(name) == 15
    assert name.startswith("v012345")
    assert name == name_host_link(owner, "eth0")


def test_every_interface_of_every_owner_has_a_name_of_its_own() -> None:
    owners = ["f" * 64, "f" * 63 + "0", *(os.urandom(32).hex() for _ in range(200))]
    names = {name_host_link(owner, f"eth{number}") for owner in owners for number in range(16)}
    assert len(names) == 16 * len(owners)
