"""`network disconnect`: takes a container or a pod off a network, also while it runs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK CONTAINER|POD",
    OptionGroup("Options", Option("-f", "--force", help="it is no error if it is not on the network")),
    least=2,
    most=2,
    text="The containers of a pod have one network: with one of them the pod leaves it, and all of them with it.",
)


def run(parsed: Parsed, context: Context) -> int:
    from contextlib import suppress

    from pytest_pods.engine.errors import NetworkNotFoundError

    name, who = parsed.operands
    engine, found = context.get_container_or_pod(who)
    with suppress(*([NetworkNotFoundError] if parsed.flag("--force") else [])):
        engine.network(name).disconnect(found)
    return 0
