"""What marks on tests ask of the machine."""

from __future__ import annotations

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that prepare the machine with root's privileges cannot run without; most do not need them."""
    if os.geteuid() != 0 and item.get_closest_marker("root") is not None:
        pytest.skip("prepares what it tests with the privileges of root")
