"""`network connect`: puts a container on a network, also while it runs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK CONTAINER",
    OptionGroup(
        "Options",
        Option("--ip", value="ADDRESS", help="its IPv4 address (default: a free one)"),
        Option("--ip6", value="ADDRESS", help="its IPv6 address"),
        Option("--mac-address", value="MAC", help="of its new interface"),
        Option("--alias", value="NAME", repeats=True, help="another name for it on this network"),
    ),
    least=2,
    most=2,
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.network_options import read_addresses

    name, container_name = parsed.operands
    engine, container = context.get_container(container_name)
    engine.network(name).connect(
        container,
        aliases=parsed.all("--alias"),
        ip=read_addresses(parsed),
        mac=parsed.find("--mac-address"),
    )
    return 0
