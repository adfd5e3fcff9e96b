"""`python -m pytest_pods` is `pytest-pods`."""

from __future__ import annotations

from pytest_pods.cli.main import run_program

if __name__ == "__main__":
    run_program()
