"""`network prune`: removes the networks that no container is on."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup(
        "Options",
        Option("-f", "--force", help="do not ask"),
        Option("--filter", value="KEY=VALUE", repeats=True, help="only those with this name, id, driver, label, …"),
    ),
    text="""
The default network stays, and so do those of kept sessions, unless --session names one. Asks first if it is called from
a terminal. Prints the name of each network that was removed.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    import sys

    from pytest_pods.cli.network_views import matches, parse_network_filters
    from pytest_pods.cli.output import print_line, print_note
    from pytest_pods.engine.errors import InUseError
    from pytest_pods.engine.specs.networks import DEFAULT_NETWORK

    filters = parse_network_filters(parsed.all("--filter"))
    if not parsed.flag("--force") and sys.stdin.isatty():
        print_note("This removes all networks that no container is on. Go on? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    networks = {network.name: network for network in context.open_for_networks().networks()}

    def act(name: str) -> None:
        network = networks[name]
        if name == DEFAULT_NETWORK or network.containers() or not matches(network.inspect(), filters):
            return
        try:
            network.remove()
        except InUseError:
            # Somebody has joined it in between.
            return
        print_line(name)

    return context.for_each(networks, act)
