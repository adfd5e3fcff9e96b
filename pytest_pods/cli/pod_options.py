"""The options of `pod create`, and the pod that they ask for."""

from __future__ import annotations

from pytest_pods.cli.options import Command, OptionGroup
from pytest_pods.cli.options import Option as O

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_pods.cli.options import Parsed

GRACE = O("-t", "--time", value="SECONDS", help="grace before the kill (default: each one's --stop-timeout)")


def build_action(*options: O) -> Command:
    """What a command takes that does something with pods, those that are named or all."""
    return Command(
        "POD...",
        OptionGroup("Options", *options, O("-a", "--all", help="all of them")),
        least=0,
        most=None,
        text="Prints the name of each pod that it was done to.",
    )


POD_GROUPS = (
    OptionGroup(
        "The pod",
        O("-n", "--name", value="NAME", help="its name (default: one is made up)"),
        O("--hostname", value="NAME", help="its host name (default: its name)"),
        O("-l", "--label", value="KEY=VALUE", repeats=True, help="a label"),
        O("--share", value="NAMESPACES", help="what its containers share: net,ipc,uts,pid, or +pid; none for nothing"),
        O("--exit-policy", value="POLICY", help="what happens when all its containers have ended",
          choices=("continue", "stop")),
        O("--restart", value="POLICY", help="accepted for others' sake: say it to each container"),
        O("--infra", help="accepted: a pod needs no container of its own"),
        O("--infra-name", value="NAME", help="accepted: see --infra"),
        O("--replace", help="remove a pod with this name first"),
    ),
    OptionGroup(
        "Limits of all its containers together",
        O("-m", "--memory", value="SIZE", help="the most memory, such as 64m"),
        O("--memory-swap", value="SIZE", help="memory and swap together; -1 for any"),
        O("--cpus", value="NUMBER", help="how many processors, such as 0.5"),
        O("--pids-limit", value="NUMBER", help="the most processes and threads"),
        O("--shm-size", value="SIZE", help="the size of their /dev/shm (default 64m)"),
    ),
    OptionGroup(
        "Files and network",
        O("-v", "--volume", value="[SOURCE:]TARGET[:OPTIONS]", repeats=True, help="as of `run`, for each container"),
        O("-p", "--publish", value="[IP:][PORT:]PORT[/udp]", repeats=True,
          help="reach its PORT at a port of this machine (default: a free one, on 127.0.0.1)"),
        O("--net", "--network", value="NETWORK[:KEY=VALUE,…]", repeats=True,
          help="private (also bridge): own, with a way out, the default; none; host; or the name of a network"),
        O("--network-alias", value="NAME", repeats=True, help="another name for it on its networks"),
        O("--ip", value="ADDRESS", help="its IPv4 address on its network"),
        O("--ip6", value="ADDRESS", help="its IPv6 address on its network"),
        O("--mac-address", value="MAC", help="of its interface"),
        O("--dns", value="ADDRESS", repeats=True, help="a name server instead of this machine's"),
        O("--dns-search", value="DOMAIN", repeats=True, help="a domain in which to look for short names"),
        O("--dns-opt", "--dns-option", value="OPTION", repeats=True, help="of resolv.conf, e.g. ndots:2"),
        O("--add-host", value="NAME:ADDRESS", repeats=True, help="an entry of /etc/hosts"),
    ),
)


def read_pod_options(parsed: Parsed) -> dict[str, Any]:
    """The arguments of `create_pod`. Raises UsageError."""
    from pytest_pods.cli.container_options import absolute_volume, read_labels
    from pytest_pods.cli.network_options import read_container_networks

    options: dict[str, Any] = {
        "labels": read_labels(parsed.all("--label")),
        "ports": parsed.all("--publish"),
        "volumes": [absolute_volume(text) for text in parsed.all("--volume")],
        **read_container_networks(parsed),
    }
    for name in ("name", "hostname", "share", "exit-policy", "memory", "memory-swap", "cpus", "pids-limit", "shm-size"):
        if (value := parsed.find(f"--{name}")) is not None:
            options[name.replace("-", "_")] = value
    return options
