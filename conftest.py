"""Fixtures that every test may use come from tests/support; nothing is defined here."""

from __future__ import annotations

from pathlib import Path

SUPPORT = Path(__file__).parent / "tests" / "support"

pytest_plugins = [
    "pytester",
    *(f"tests.support.{path.stem}" for path in sorted(SUPPORT.glob("fixtures_*.py"))),
]
