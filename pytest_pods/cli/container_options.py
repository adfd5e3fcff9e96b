"""The options of `run` and `create`, and the specification that they ask for."""

from __future__ import annotations

import os

from pytest_pods.cli.options import Option as O
from pytest_pods.cli.options import OptionGroup, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.events import Progress
    from pytest_pods.engine.specs.container import ContainerSpec

CONTAINER_GROUPS = (
    OptionGroup(
        "The container",
        O("--name", value="NAME", help="its name (default: one is made up)"),
        O("--pod", value="NAME", help="the pod that it joins; new:NAME makes one"),
        O("-h", "--hostname", value="NAME", help="its host name (default: the beginning of its ID)"),
        O("-l", "--label", value="KEY=VALUE", repeats=True, help="a label"),
        O("--entrypoint", value="PROGRAM", help="instead of the image's entry point; empty for none"),
        O("-u", "--user", value="USER[:GROUP]", help="who it runs as, by name or number"),
        O("-w", "--workdir", value="DIR", help="its working directory"),
        O("-e", "--env", value="NAME[=VALUE]", repeats=True, help="a variable; without a value, yours is passed on"),
        O("--env-file", value="FILE", repeats=True, help="variables, one NAME=VALUE a line"),
        O("-i", "--interactive", help="pass input on to it"),
        O("-t", "--tty", help="give it a terminal"),
        O("--stop-signal", value="SIGNAL", help="what `stop` sends (default: the image's, or TERM)"),
        O("--stop-timeout", value="SECONDS", help="how long `stop` waits before it kills (default 10)"),
        O("--restart", value="POLICY", help="when it is started again: no, on-failure[:MOST], always, unless-stopped"),
    ),
    OptionGroup(
        "Health",
        O("--health-cmd", value="COMMAND", help="what is executed in it, by its shell, to tell whether it is well; a "
          "list in JSON is executed as it is, none is as --no-healthcheck (default: the image's)"),
        O("--health-interval", value="DURATION", help="between two checks, such as 1m30s (default 30s)"),
        O("--health-timeout", value="DURATION", help="how long one may take (default 30s)"),
        O("--health-retries", value="NUMBER", help="how many failures in a row make it unhealthy (default 3)"),
        O("--health-start-period", value="DURATION", help="after its start, in which failures do not count"),
        O("--health-start-interval", value="DURATION", help="between two checks in the start period (default 5s)"),
        O("--health-on-failure", value="ACTION", help="what becomes of it when it is unhealthy (default none)",
          choices=("none", "kill", "restart", "stop")),
        O("--no-healthcheck", help="no health check, not even the image's"),
    ),
    OptionGroup(
        "Limits",
        O("-m", "--memory", value="SIZE", help="the most memory it gets, such as 64m"),
        O("--memory-swap", value="SIZE", help="memory and swap together; the size of --memory for no swap, -1 for any"),
        O("--cpus", value="NUMBER", help="how many processors it gets, such as 0.5"),
        O("--pids-limit", value="NUMBER", help="the most processes and threads"),
        O("--shm-size", value="SIZE", help="the size of its /dev/shm (default 64m)"),
        O("--ulimit", value="NAME=SOFT[:HARD]", repeats=True, help="a limit of its processes, such as nofile=1024"),
    ),
    OptionGroup(
        "Files",
        O("-v", "--volume", value="[SOURCE:]TARGET[:OPTIONS]", repeats=True,
          help="a file or directory of this machine, or a volume by its name; without SOURCE, a volume of its own. "
          "OPTIONS: ro, nocopy, U, z, noexec, rbind, …"),
        O("--mount", value="type=KIND,KEY=VALUE,…", repeats=True,
          help="the same with more to say: bind, volume, tmpfs or image; source, target, readonly, subpath, …"),
        O("--tmpfs", value="TARGET[:OPTIONS]", repeats=True, help="a memory file system, e.g. /run:size=64m"),
        O("--read-only", help="its root file system cannot be written"),
    ),
    OptionGroup(
        "Network",
        O("-p", "--publish", value="[IP:][PORT:]PORT[/udp]", repeats=True,
          help="reach its PORT at a port of this machine (default: a free one, on 127.0.0.1); PORT may be a range"),
        O("-P", "--publish-all", help="publish every port that the image exposes"),
        O("--net", "--network", value="NETWORK[:KEY=VALUE,…]", repeats=True,
          help="private (also bridge): own, with a way out, the default; none; host; or the name of a network, such as "
          "default, on which containers find each other by name. Keys: ip, ip6, mac, alias, interface_name. "
          "container:NAME is the network of another container, with its /etc/hosts and /etc/resolv.conf"),
        O("--network-alias", value="NAME", repeats=True, help="another name for it on its networks"),
        O("--ip", value="ADDRESS", help="its IPv4 address on its network"),
        O("--ip6", value="ADDRESS", help="its IPv6 address on its network"),
        O("--mac-address", value="MAC", help="of its interface"),
        O("--dns", value="ADDRESS", repeats=True,
          help="a name server instead of this machine's; none leaves /etc/resolv.conf as the image has it"),
        O("--dns-search", value="DOMAIN", repeats=True, help="a domain in which to look for short names"),
        O("--dns-opt", "--dns-option", value="OPTION", repeats=True, help="of resolv.conf, e.g. ndots:2"),
        O("--add-host", value="NAME:ADDRESS", repeats=True,
          help="an entry of /etc/hosts; the address may be host-gateway, which leads to this machine"),
    ),
    OptionGroup(
        "Privileges",
        O("--cap-add", value="CAPABILITY", repeats=True, help="a capability beside the default ones, or ALL"),
        O("--cap-drop", value="CAPABILITY", repeats=True, help="one of the default capabilities that it does not get"),
        O("--privileged", help="all capabilities that this user has, no system call filter, nothing masked"),
        O("--security-opt", value="OPTION", repeats=True, help="no-new-privileges, seccomp=unconfined"),
    ),
    OptionGroup(
        "The image",
        O("--pull", value="WHEN", help="when to ask the registry (default missing)",
          choices=("missing", "always", "newer", "never")),
        O("--platform", value="OS/ARCH", help="which of the image's platforms"),
        O("-q", "--quiet", help="do not show the progress of a pull"),
    ),
)

NEW_POD = "new:"
DEFAULT_STOP_TIMEOUT_S = 10.0
"""Docker's: tests want 0, people at a command line do not."""


def container_progress(parsed: Parsed) -> Progress:
    """Where a pull that becomes necessary shows itself."""
    from pytest_pods.cli.progress import choose_progress

    return choose_progress(quiet=parsed.flag("--quiet"))


def build_spec(parsed: Parsed, *, remove: bool) -> ContainerSpec:
    """What is asked for. Raises UsageError, InvalidSpecError."""
    from pytest_pods.cli.health_options import read_health
    from pytest_pods.cli.network_options import read_container_networks
    from pytest_pods.engine.specs.container import build_container_spec

    image, *command = parsed.operands
    options: dict[str, Any] = {
        "env": read_environment(parsed.all("--env-file"), parsed.all("--env"), os.environ),
        "labels": read_labels(parsed.all("--label")),
        "ports": parsed.all("--publish"),
        "volumes": [absolute_volume(text) for text in parsed.all("--volume")],
        "mounts": parsed.all("--mount"),
        "tmpfs": parsed.all("--tmpfs"),
        "ulimits": parsed.all("--ulimit"),
        "cap_add": _split_list(parsed.all("--cap-add")),
        "cap_drop": _split_list(parsed.all("--cap-drop")),
        "publish_all": parsed.flag("--publish-all"),
        "privileged": parsed.flag("--privileged"),
        "read_only": parsed.flag("--read-only"),
        "interactive": parsed.flag("--interactive"),
        "tty": parsed.flag("--tty"),
        "stop_timeout": parse_seconds("--stop-timeout", parsed.find("--stop-timeout"), default=DEFAULT_STOP_TIMEOUT_S),
        "remove": remove,
        "health": read_health(parsed),
        **read_container_networks(parsed),
        **_security(parsed.all("--security-opt")),
    }
    for name in (
        *("name", "hostname", "user", "workdir", "stop-signal", "platform", "pull", "restart"),
        *("memory", "memory-swap", "cpus", "pids-limit", "shm-size"),
    ):
        if (value := parsed.find(f"--{name}")) is not None:
            options[name.replace("-", "_")] = value
    if (pod := parsed.find("--pod")) is not None:
        options["pod"] = pod.removeprefix(NEW_POD)
    if (entrypoint := parsed.find("--entrypoint")) is not None:
        options["entrypoint"] = [entrypoint] if entrypoint else []
    return build_container_spec(image, command or None, **options)


def read_environment(files: list[str], given: list[str], own: Mapping[str, str]) -> dict[str, str]:
    """Variables of the files, then of the options; a name without a value takes the caller's, if there is one."""
    found: dict[str, str] = {}
    for path in files:
        found.update(_read_environment_file(path, own))
    for text in given:
        found.update(_parse_variable(text, own, where="--env"))
    return found


def _read_environment_file(path: str, own: Mapping[str, str]) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"reading --env-file {path}: {reason}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        line = line.lstrip()
        if line and not line.startswith("#"):
            found.update(_parse_variable(line, own, where=f"{path}:{number}"))
    return found


def _parse_variable(text: str, own: Mapping[str, str], *, where: str) -> dict[str, str]:
    name, separator, value = text.partition("=")
    if not name or any(c.isspace() for c in name):
        raise UsageError(f"{where}: {text!r} is neither NAME=VALUE nor NAME")
    if separator:
        return {name: value}
    return {name: own[name]} if name in own else {}


def read_labels(texts: list[str]) -> dict[str, str]:
    """Raises UsageError."""
    return dict(_split_label(text) for text in texts)


def _split_label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(f"--label {text!r} is not KEY=VALUE")
    return key, value


def _split_list(texts: list[str]) -> list[str]:
    return [part for text in texts for part in text.split(",") if part]


def absolute_volume(text: str) -> str:
    """`./data:/data` counts from the working directory."""
    source, separator, rest = text.partition(":")
    if separator and (source in (".", "..") or source.startswith(("./", "../", "~/"))):
        return f"{os.path.abspath(os.path.expanduser(source))}:{rest}"
    return text


def parse_seconds(option: str, text: str | None, *, default: float) -> float:
    """A number of seconds, such as 10, 0.5 or 10s. Raises UsageError."""
    if text is None:
        return default
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e7:
        raise UsageError(f"option {option}: {text!r} is not a number of seconds")
    return seconds


def find_grace(parsed: Parsed) -> float | None:
    """The seconds of `--time`, None where each container's own hold. Raises UsageError."""
    given = parsed.find("--time")
    return None if given is None else parse_seconds("--time", given, default=0.0)


def _security(options: list[str]) -> dict[str, bool]:
    chosen = {}
    for option in options:
        if option in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            chosen["no_new_privileges"] = True
        elif option in ("seccomp=unconfined", "seccomp:unconfined"):
            chosen["seccomp"] = False
        else:
            raise UsageError(f"--security-opt {option!r} is not known", hint="no-new-privileges, seccomp=unconfined")
    return chosen
