"""`$(NAME)` in commands, arguments and values of variables, as Kubernetes replaces it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, known: Mapping[str, str]) -> str:
    """A name that is not known stays as it is written; `$$` is one `$`."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def escape(text: str) -> str:
    """What `expand` turns into the text."""
    return text.replace("$", "$$") if _REFERENCE.search(text) else text
