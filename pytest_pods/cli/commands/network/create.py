"""`network create`: makes a network."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "[NAME]",
    OptionGroup(
        "Options",
        Option("-d", "--driver", value="DRIVER", help="bridge (default), or one on an interface of this machine",
               choices=("bridge", "macvlan", "ipvlan")),
        Option("--subnet", value="SUBNET", repeats=True, help="as in 10.89.7.0/24 (default: a free one)"),
        Option("--gateway", value="ADDRESS", repeats=True, help="of each subnet (default: its first address)"),
        Option("--ip-range", value="SUBNET", repeats=True, help="the part of each subnet that containers get"),
        Option("--ipv6", help="also an IPv6 subnet"),
        Option("--internal", help="without a way out"),
        Option("--disable-dns", help="containers do not find each other by name"),
        Option("--dns", value="ADDRESS", repeats=True, help="whom to ask for all other names"),
        Option("-l", "--label", value="KEY=VALUE", repeats=True, help="a label"),
        Option("-o", "--opt", value="KEY=VALUE", repeats=True,
               help="mtu, vlan, isolate (true, strict), no_default_route, metric, parent, mode"),
        Option("--ignore", help="it is no error if there is one with the name"),
    ),
    least=0,
    most=1,
    text="""
Prints the name; without one, one is made up. The network stays until it is removed, also when no container is there.
With --session it belongs to that session and goes with it.
""",
    examples=[
        ("pytest-pods network create --internal backend", "containers reach each other, and nothing else"),
        ("pytest-pods network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan", "beside this machine"),
    ],
)


def run(parsed: Parsed, context: Context) -> int:
    from contextlib import suppress

    from pytest_pods.cli.network_options import read_network_options
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import NameInUseError

    name = next(iter(parsed.operands), None)
    options = read_network_options(parsed)
    engine = context.open_for_networks()
    with suppress(*([NameInUseError] if parsed.flag("--ignore") and name else [])):
        name = engine.create_network(name, **options).name
    print_line(str(name))
    return 0
