"""What can be asked for: frozen values, checked once when they are built, that markers, command line and API share.

Nothing here touches the machine; names that need an image or a host to be understood stay text.
"""

from __future__ import annotations

import enum
import re
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.ids import parse_name

if TYPE_CHECKING:
    from pytest_pods.engine.waiting import Wait


class PullPolicy(enum.Enum):
    """When to ask the registry: only if the image is not here, at every use, if it has a newer one, or never."""

    MISSING = "missing"
    ALWAYS = "always"
    NEWER = "newer"
    NEVER = "never"


class NetworkMode(enum.Enum):
    """`PRIVATE`: own namespace with loopback and a way out; `NONE`: loopback only; `HOST`: the host's."""

    PRIVATE = "private"
    NONE = "none"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A published port; host port 0 asks for a free one."""

    container_port: int
    host_port: int = 0
    host_ip: str = "127.0.0.1"
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host at `target` of the container."""

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A memory file system at `target`; `size` in bytes, None for the kernel's default (half the memory)."""

    target: str
    size: int | None = None
    mode: int = 0o1777
    options: tuple[str, ...] = ()


MountSpec: TypeAlias = BindMount | TmpfsMount
Command: TypeAlias = Sequence[str] | str


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything that is asked of one container; None means: as the image says, or as the engine decides.

    Times are seconds. `stop_timeout` is the grace between the stop signal and the kill.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    name: str | None = None
    hostname: str | None = None
    user: str | None = None
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortSpec, ...] = ()
    publish_all: bool = False
    mounts: tuple[MountSpec, ...] = ()
    network: NetworkMode = NetworkMode.PRIVATE
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    seccomp: bool = True
    no_new_privileges: bool = False
    interactive: bool = False
    tty: bool = False
    stop_signal: str | None = None
    stop_timeout: float = 0.0
    platform: str | None = None
    pull: PullPolicy | None = None
    remove: bool = False
    wait: Wait | None = None
    timeout: float | None = None

    def with_changes(self, **changes: Any) -> ContainerSpec:
        """A copy with fields replaced; used by command-line overrides."""
        return replace(self, **changes)


CONTAINER_OPTIONS: frozenset[str] = frozenset(f.name for f in fields(ContainerSpec)) - {"image"} | {"tmpfs", "volumes"}
"""Keyword arguments that `build_container_spec` takes, for messages about unknown ones."""


def build_container_spec(image: object, command: object = None, /, **options: Any) -> ContainerSpec:
    """Builds a spec from what people write in marks and calls; raises InvalidSpecError that names the argument.

    `ports`: numbers, "HOST:CONTAINER[/PROTOCOL]" texts or PortSpec; `env`: mapping or "NAME=VALUE" texts; `volumes`:
    "SOURCE:TARGET[:ro]" texts or a mapping target → source; `tmpfs`: targets, "TARGET:size=64m" texts, or a mapping
    target → size; `command` and `entrypoint`: a list, or a text split as a shell does.
    """
    unknown = sorted(set(options) - CONTAINER_OPTIONS)
    if unknown:
        raise InvalidSpecError(
            f"unknown argument {unknown[0]!r} of a container", hint=_did_you_mean(unknown[0], CONTAINER_OPTIONS)
        )
    if not isinstance(image, str) or not image:
        raise InvalidSpecError(f"image has to be a reference such as 'redis:7', not {image!r}")
    if "command" in options:
        command = options.pop("command")
    mounts = (
        *_parse_mounts(options.pop("mounts", ())),
        *_parse_volumes(options.pop("volumes", ())),
        *_parse_tmpfs(options.pop("tmpfs", ())),
    )
    values: dict[str, Any] = {"mounts": mounts}
    for name, value in options.items():
        values[name] = _PARSERS[name](name, value) if value is not None or name in _REQUIRED else None
    if command is not None:
        values["command"] = _parse_command("command", command)
    _refuse_same_target(mounts)
    spec = ContainerSpec(image=image, **values)
    if spec.network is NetworkMode.HOST and spec.ports:
        raise InvalidSpecError(
            "ports cannot be published with network='host'", hint="the service is on the host's ports already"
        )
    return spec


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else "it takes: " + ", ".join(sorted(known))


def _parse_command(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise InvalidSpecError(f"{name} {value!r} cannot be split as a shell does: {error}") from error
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        for item in value:
            _refuse_nul(name, item)
        return tuple(value)
    raise InvalidSpecError(f"{name} has to be a list of texts or one text, not {value!r}")


def _parse_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidSpecError(f"{name} has to be a text, not {value!r}")
    return _refuse_nul(name, value)


def _refuse_nul(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidSpecError(f"{name} must not contain a NUL byte: {value!r}")
    return value


def _parse_name(name: str, value: object) -> str:
    return parse_name(_parse_text(name, value))


_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?\Z")


def _parse_hostname(name: str, value: object) -> str:
    text = _parse_text(name, value)
    if not _HOSTNAME.match(text):
        raise InvalidSpecError(f"invalid hostname {text!r}", hint="letters, digits, '-' and '.', 64 characters at most")
    return text


def _parse_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSpecError(f"{name} has to be True or False, not {value!r}")
    return value


def _parse_seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise InvalidSpecError(f"{name} has to be a number of seconds from 0, not {value!r}")
    return float(value)


def _parse_absolute(name: str, value: object) -> str:
    text = _parse_text(name, value)
    if not PurePosixPath(text).is_absolute():
        raise InvalidSpecError(f"{name} has to be an absolute path in the container, not {text!r}")
    return text


def _parse_environment(name: str, value: object) -> Mapping[str, str]:
    if isinstance(value, Mapping):
        pairs = [(key, item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = []
        for item in value:
            key, separator, text = _parse_text(name, item).partition("=")
            if not separator:
                raise InvalidSpecError(f"{name} entry {item!r} is not NAME=VALUE")
            pairs.append((key, text))
    else:
        raise InvalidSpecError(f"{name} has to be a mapping or a list of NAME=VALUE, not {value!r}")
    for key, item in pairs:
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise InvalidSpecError(f"invalid name {key!r} in {name}")
        if not isinstance(item, str):
            raise InvalidSpecError(f"{name} {key!r} has to be a text, not {item!r}", hint=f"write {str(item)!r}")
        _refuse_nul(f"{name} {key!r}", item)
    return dict(pairs)


def _parse_port_number(text: str, whole: object, *, lowest: int) -> int:
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= 65535:
        raise InvalidSpecError(f"invalid port {whole!r}", hint=f"ports are numbers from {lowest} to 65535")
    return int(text)


def parse_port(value: object) -> PortSpec:
    """Reads 6379, "6379", "8080:80", "127.0.0.1:8080:80", "[::1]:8080:80", any with "/tcp" or "/udp"."""
    if isinstance(value, PortSpec):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidSpecError(f"invalid port {value!r}", hint="write 6379, '8080:80' or '127.0.0.1:8080:80/tcp'")
    mapping, _, protocol = value.partition("/")
    if protocol not in ("", "tcp", "udp"):
        raise InvalidSpecError(f"port {value!r}: protocol {protocol!r} cannot be published", hint="tcp and udp can")
    host_ip = "127.0.0.1"
    if mapping.startswith("["):
        host_ip, closed, mapping = mapping[1:].partition("]:")
        if not closed:
            raise InvalidSpecError(f"invalid port {value!r}", hint="an IPv6 address is written as in '[::1]:8080:80'")
    elif mapping.count(":") == 2:
        host_ip, _, mapping = mapping.partition(":")
    host, separator, container = mapping.rpartition(":")
    return PortSpec(
        container_port=_parse_port_number(container, value, lowest=1),
        host_port=_parse_port_number(host, value, lowest=0) if separator and host else 0,
        host_ip=_parse_ip(host_ip, value),
        protocol="udp" if protocol == "udp" else "tcp",
    )


def _parse_ip(text: str, whole: object) -> str:
    import socket

    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text)
    except OSError as error:
        raise InvalidSpecError(f"port {whole!r}: {text!r} is not an IP address") from error
    return text


def _parse_ports(name: str, value: object) -> tuple[PortSpec, ...]:
    if isinstance(value, int | str) or not isinstance(value, Iterable):
        raise InvalidSpecError(f"{name} has to be a list, not {value!r}", hint=f"write {name}=[{value!r}]")
    return tuple(parse_port(item) for item in value)


def parse_size(text: str) -> int:
    """Bytes of "64m", "1g", "512k" or "4096"; raises InvalidSpecError."""
    match = re.fullmatch(r"(\d+)([bkmgt]?)b?", text.lower())
    if not match:
        raise InvalidSpecError(f"invalid size {text!r}", hint="write a number of bytes, or with k, m or g behind it")
    exponent: int = "bkmgt".index(match[2] or "b")
    return int(match[1]) * int(1024**exponent)


def _parse_mounts(value: object) -> tuple[MountSpec, ...]:
    if not isinstance(value, Sequence) or not all(isinstance(item, BindMount | TmpfsMount) for item in value):
        raise InvalidSpecError(f"mounts has to be a list of BindMount and TmpfsMount, not {value!r}")
    return tuple(value)


def parse_volume(text: str) -> BindMount:
    """Reads "SOURCE:TARGET[:ro|rw]" with an absolute SOURCE; raises InvalidSpecError."""
    source, separator, rest = text.partition(":")
    target, _, options = rest.partition(":")
    flags = set(filter(None, options.split(",")))
    if not separator or not source or flags - {"ro", "rw", "bind", "rbind"}:
        raise InvalidSpecError(f"invalid volume {text!r}", hint="write 'SOURCE:TARGET' or 'SOURCE:TARGET:ro'")
    if not PurePosixPath(source).is_absolute():
        raise InvalidSpecError(f"volume {text!r}: {source!r} is not an absolute path of the host")
    return BindMount(source, _parse_absolute("volumes target", target), "ro" in flags, "bind" not in flags)


def _parse_volumes(value: object) -> tuple[MountSpec, ...]:
    if isinstance(value, Mapping):
        return tuple(
            BindMount(str(source), _parse_absolute("volumes target", target)) for target, source in value.items()
        )
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidSpecError(f"volumes has to be a list of 'SOURCE:TARGET' or a mapping, not {value!r}")
    return tuple(parse_volume(_parse_text("volumes", item)) for item in value)


def parse_tmpfs(text: str) -> TmpfsMount:
    """Reads "TARGET[:size=64m,mode=1777,…]"; raises InvalidSpecError."""
    target, _, options = text.partition(":")
    size, mode, rest = None, 0o1777, []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = parse_size(value)
        elif key == "mode" and re.fullmatch(r"[0-7]{1,5}", value):
            mode = int(value, 8)
        elif option in ("ro", "rw", "noexec", "exec", "nosuid", "suid", "nodev", "dev"):
            rest.append(option)
        else:
            raise InvalidSpecError(
                f"tmpfs {text!r}: unknown option {option!r}", hint="size=, mode=, ro, noexec, exec are known"
            )
    return TmpfsMount(_parse_absolute("tmpfs", target), size, mode, tuple(rest))


def _parse_tmpfs(value: object) -> tuple[MountSpec, ...]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return tuple(
            TmpfsMount(_parse_absolute("tmpfs", target), parse_size(str(size)) if size else None)
            for target, size in value.items()
        )
    if not isinstance(value, Sequence):
        raise InvalidSpecError(f"tmpfs has to be a list of targets or a mapping, not {value!r}")
    return tuple(parse_tmpfs(_parse_text("tmpfs", item)) for item in value)


def _refuse_same_target(mounts: Sequence[MountSpec]) -> None:
    seen: set[PurePosixPath] = set()
    for mount in mounts:
        target = PurePosixPath(mount.target)
        if target in seen:
            raise InvalidSpecError(f"two mounts at {mount.target!r}")
        seen.add(target)


def _parse_capabilities(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise InvalidSpecError(f"{name} has to be a list of capability names, not {value!r}")
    names = []
    for item in value:
        text = item.upper()
        names.append(text if text == "ALL" or text.startswith("CAP_") else f"CAP_{text}")
    return tuple(names)


def _parse_network(name: str, value: object) -> NetworkMode:
    if isinstance(value, NetworkMode):
        return value
    try:
        return NetworkMode(value)
    except ValueError:
        raise InvalidSpecError(f"unknown network {value!r}", hint="it is 'private', 'none' or 'host'") from None


def _parse_policy(name: str, value: object) -> PullPolicy:
    if isinstance(value, PullPolicy):
        return value
    try:
        return PullPolicy(value)
    except ValueError:
        raise InvalidSpecError(f"unknown pull policy {value!r}", hint="it is missing, always, newer or never") from None


def parse_signal(value: object) -> signal.Signals:
    """Reads "TERM", "SIGTERM", "15" or 15; raises InvalidSpecError."""
    text = str(value).upper()
    try:
        if text.isdigit():
            return signal.Signals(int(text))
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except (KeyError, ValueError):
        raise InvalidSpecError(f"unknown signal {value!r}", hint="write a name such as TERM, or a number") from None


def _parse_signal(name: str, value: object) -> str:
    return parse_signal(value).name


def _parse_wait(name: str, value: object) -> object:
    if not callable(value) and not hasattr(value, "check"):
        raise InvalidSpecError(f"{name} has to be a wait such as waits.port(6379), or a callable, not {value!r}")
    return value


_REQUIRED = frozenset(
    {"ports", "env", "labels", "network", "cap_add", "cap_drop", "stop_timeout", "interactive", "tty"}
)

_PARSERS: dict[str, Any] = {
    "entrypoint": _parse_command,
    "name": _parse_name,
    "hostname": _parse_hostname,
    "user": _parse_text,
    "workdir": _parse_absolute,
    "env": _parse_environment,
    "labels": _parse_environment,
    "ports": _parse_ports,
    "network": _parse_network,
    "cap_add": _parse_capabilities,
    "cap_drop": _parse_capabilities,
    "publish_all": _parse_flag,
    "privileged": _parse_flag,
    "read_only": _parse_flag,
    "seccomp": _parse_flag,
    "no_new_privileges": _parse_flag,
    "interactive": _parse_flag,
    "tty": _parse_flag,
    "stop_signal": _parse_signal,
    "stop_timeout": _parse_seconds,
    "platform": _parse_text,
    "pull": _parse_policy,
    "remove": _parse_flag,
    "wait": _parse_wait,
    "timeout": _parse_seconds,
}
