"""A store of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.storage import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Layers are unpacked by children of the test process, which has to be root's."""
    return open_store(tmp_path / "store")
