"""The options of `pod create`, and the pod that they ask for."""

from __future__ import annotations

from pytest_pods.cli.options import Command, OptionGroup, UsageError
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
        O("--restart", value="POLICY", help="of its containers that have none of their own: as of `run`"),
        O("--infra", help="a pod needs no container of its own: true, the default, is accepted; with false its "
          "containers share nothing, as with --share none"),
        O("--infra-name", value="NAME", help="accepted: there is none to be called so"),
        O("--infra-image", value="IMAGE", help="accepted: what holds a shared PID namespace comes with pytest-pods"),
        O("--infra-command", value="COMMAND", help="accepted unless a PID namespace is shared: it would be process 1"),
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
        O("--dns", value="ADDRESS", repeats=True,
          help="a name server instead of this machine's; none leaves /etc/resolv.conf as the images have it"),
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
    for name in ("name", "hostname", "share", "exit-policy", "memory", "memory-swap", "cpus", "pids-limit", "shm-size",
                 "restart"):
        if (value := parsed.find(f"--{name}")) is not None:
            options[name.replace("-", "_")] = value
    if not parsed.flag("--infra", default=True):
        if options.setdefault("share", "none") not in ("", "none"):
            raise UsageError(f"--infra=false: containers share nothing then, not {options['share']}")
    elif parsed.find("--infra-command") is not None:
        from pytest_pods.engine.specs.pods import parse_share

        if "pid" in parse_share("share", options.get("share", "+")):
            raise UsageError("--infra-command: process 1 of a shared PID namespace is the engine's own")
    return options
