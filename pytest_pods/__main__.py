"""`python -m pytest_pods` is `pytest-pods`."""

from __future__ import annotations

import sys

from pytest_pods.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
