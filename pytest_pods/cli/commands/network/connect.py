"""`network connect`: puts a container or a pod on a network, also while it runs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK CONTAINER|POD",
    OptionGroup(
        "Options",
        Option("--ip", value="ADDRESS", help="its IPv4 address (default: a free one)"),
        Option("--ip6", value="ADDRESS", help="its IPv6 address"),
        Option("--mac-address", value="MAC", help="of its new interface"),
        Option("--alias", value="NAME", repeats=True, help="another name for it on this network"),
    ),
    least=2,
    most=2,
    text="""
The containers of a pod have one network: connecting one of them connects the pod with all of them. On the network a pod
is found by its own name and those of its containers, also of such that join it later.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.network_options import read_addresses

    name, who = parsed.operands
    engine, found = context.get_container_or_pod(who)
    engine.network(name).connect(
        found,
        aliases=parsed.all("--alias"),
        ip=read_addresses(parsed),
        mac=parsed.find("--mac-address"),
    )
    return 0
