"""Quantities as Kubernetes writes them: `500m`, `1.5`, `64Mi`, `1e6`, `2G`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_pods.engine.kube.values import Value

_QUANTITY = re.compile(
    r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)\Z"
)
_UNITS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(1 << 10), "Mi": Decimal(1 << 20), "Gi": Decimal(1 << 30), "Ti": Decimal(1 << 40),
    "Pi": Decimal(1 << 50), "Ei": Decimal(1 << 60),
}  # fmt: skip
_BINARY = ("Ki", "Mi", "Gi", "Ti")


def parse_quantity(value: Value) -> Decimal:
    """Raises KubeDocumentError."""
    match = None if isinstance(value.content, bool) else _QUANTITY.match(value.raw)
    if match is None:
        value.fail("has to be a quantity", hint='as in "500m", "2" or "64Mi"')
    number = Decimal(match[1]) * Decimal(10) ** int(match[2] or 0) * _UNITS.get(match[3], Decimal(1))
    if number <= 0:
        value.fail("has to be more than 0")
    return number


def format_cpus(number: float) -> str:
    thousandths = round(number * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def format_bytes(number: int) -> str:
    for power, unit in reversed([*enumerate(_BINARY, start=1)]):
        if number % (1 << 10 * power) == 0:
            return f"{number >> 10 * power}{unit}"
    return str(number)
