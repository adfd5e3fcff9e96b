"""The version, where reading it costs nothing: the installation's metadata takes longer than Python's start."""

from __future__ import annotations

VERSION = "0.1.0"
