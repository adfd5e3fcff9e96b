"""`network disconnect`: takes a container off a network, also while it runs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK CONTAINER",
    OptionGroup("Options", Option("-f", "--force", help="it is no error if it is not on the network")),
    least=2,
    most=2,
)


def run(parsed: Parsed, context: Context) -> int:
    from contextlib import suppress

    from pytest_pods.engine.errors import NetworkNotFoundError

    name, container_name = parsed.operands
    engine, container = context.get_container(container_name)
    with suppress(*([NetworkNotFoundError] if parsed.flag("--force") else [])):
        engine.network(name).disconnect(container)
    return 0
