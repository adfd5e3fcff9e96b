"""What the options of networks ask for: those of `network create`, and those of a container that is to be on some."""

from __future__ import annotations

from pytest_pods.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_pods.cli.options import Parsed

CONTAINER = "container:"
"""Before the name of a container in whose network another is."""
_PRIVATE = ("private", "bridge", "podman")
_MODES = (*_PRIVATE, "none", "host")
_NUMBERS = ("mtu", "vlan", "metric")
_TEXTS = ("parent", "mode")
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")


def read_network_options(parsed: Parsed) -> dict[str, Any]:
    """The arguments of `create_network` that `network create` was given. Raises UsageError."""
    from pytest_pods.cli.container_options import read_labels

    options: dict[str, Any] = {
        "subnet": parsed.all("--subnet"),
        "gateway": parsed.all("--gateway"),
        "ip_range": parsed.all("--ip-range"),
        "dns_servers": parsed.all("--dns"),
        "ipv6": parsed.flag("--ipv6"),
        "internal": parsed.flag("--internal"),
        "dns": not parsed.flag("--disable-dns"),
        "labels": read_labels(parsed.all("--label")),
    }
    if (driver := parsed.find("--driver")) is not None:
        options["driver"] = driver
    for text in parsed.all("--opt"):
        key, value = _read_driver_option(text)
        options[key] = value
    return options


def _read_driver_option(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    # Docker's name for it.
    key = "mtu" if key == "com.docker.network.driver.mtu" else key
    if separator and key in _NUMBERS:
        if not value.isascii() or not value.isdigit():
            raise UsageError(f"--opt {text!r}: {value!r} is not a number")
        return key, int(value)
    if separator and key in _TEXTS:
        return key, value
    if separator and key == "isolate":
        return key, value if value == "strict" else _read_switch(text, value)
    if key == "no_default_route":
        return "default_route", not _read_switch(text, value if separator else "true")
    known = ", ".join((*_NUMBERS, *_TEXTS, "isolate", "no_default_route"))
    raise UsageError(f"--opt {text!r} is not known", hint=f"KEY=VALUE with one of {known}")


def _read_switch(text: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise UsageError(f"--opt {text!r}: {value!r} is neither true nor false")


def read_addresses(parsed: Parsed) -> list[str]:
    """`--ip` and `--ip6`, each of its kind. Raises UsageError."""
    found = []
    for option, six in (("--ip", False), ("--ip6", True)):
        if (text := parsed.find(option)) is not None:
            if (":" in text) != six:
                raise UsageError(f"option {option}: {text!r} is not an IPv{6 if six else 4} address")
            found.append(text)
    return found


def read_container_networks(parsed: Parsed) -> dict[str, Any]:
    """The arguments of a container that say what it is plugged into. Raises UsageError."""
    options: dict[str, Any] = {
        "aliases": parsed.all("--network-alias"),
        "dns": parsed.all("--dns"),
        "dns_search": parsed.all("--dns-search"),
        "dns_options": parsed.all("--dns-option"),
        "add_hosts": parsed.all("--add-host"),
    }
    addresses, mac = read_addresses(parsed), parsed.find("--mac-address")
    own: dict[str, Any] = {**({"ip": addresses} if addresses else {}), **({"mac": mac} if mac else {})}
    given = parsed.all("--network")
    networks = read_networks(given)
    if networks is None:
        if own or options["aliases"]:
            raise UsageError(
                "--ip, --ip6, --mac-address and --network-alias belong to a network with names",
                hint="add --network NAME, or --network default",
            )
        mode = given[-1] if given else "private"
        return {**options, "network": "private" if mode in _PRIVATE else mode}
    if own:
        if len(networks) > 1:
            raise UsageError(
                "--ip, --ip6 and --mac-address can be meant for one network only",
                hint="write --network NAME:ip=…,mac=… for each",
            )
        (name,) = networks
        twice = sorted(set(own) & set(networks[name]))
        if twice:
            raise UsageError(f"network {name}: {twice[0]} is given twice")
        networks = {name: {**networks[name], **own}}
    return {**options, "networks": networks}


def read_networks(texts: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """`NAME[:KEY=VALUE,…]` texts as network → options; None if they ask for a mode. Raises UsageError."""
    networks: dict[str, dict[str, Any]] = {}
    modes = []
    for text in texts:
        name, separator, rest = text.partition(":")
        if name == "ns":
            raise UsageError(f"--network {text!r}: a namespace is not joined by its path", hint="see container:NAME")
        if name == "container":
            modes.append(text)
            continue
        if name in _MODES:
            if separator:
                raise UsageError(f"--network {name} takes no options")
            modes.append(name)
            continue
        if name in networks:
            raise UsageError(f"--network {name} is given twice")
        networks[name] = _read_place(text, rest) if rest else {}
    if modes and len({*modes, *networks}) > 1:
        raise UsageError(
            f"--network {modes[0]} cannot be combined with --network {next(iter({*modes[1:], *networks}), '')}",
            hint="several networks with names can be: see pytest-pods network ls",
        )
    return networks or None


def _read_place(whole: str, text: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for part in text.split(","):
        key, separator, value = part.partition("=")
        if not separator or not value:
            raise UsageError(f"--network {whole!r}: {part!r} is not KEY=VALUE")
        if key in ("ip", "ip6"):
            options.setdefault("ip", []).append(value)
        elif key == "alias":
            options.setdefault("aliases", []).append(value)
        elif key in ("mac", "interface_name"):
            options[key.removesuffix("_name")] = value
        else:
            raise UsageError(
                f"--network {whole!r}: unknown option {key!r}", hint="ip, ip6, mac, alias and interface_name are known"
            )
    return options
