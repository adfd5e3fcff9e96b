"""Several descriptions of one container or pod, each of which adds to the one before it.

What is one value, such as a command or a wait, is replaced. What has parts is joined, and of two with the same key the
later counts: `env`, `labels` and `add_hosts` by name, `ports` by port and protocol, mounts of every kind by target,
`networks` by network, `ulimits` by name; names in `aliases`, `cap_add`, `cap_drop` and `needs`, and
`artifacts`, come together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.container import ContainerSpec, check_container, parse_container_options
from pytest_pods.engine.specs.mounts import normalize_target
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import (
    MemberSpec,
    PodSpec,
    add_members,
    check_pod,
    naming_member,
    parse_member,
    parse_pod_options,
    take_member_options,
)

ContainerLink: TypeAlias = "Mapping[str, Any] | ContainerSpec"
MemberLink: TypeAlias = "Mapping[str, Any] | ContainerSpec | MemberSpec"
PodLink: TypeAlias = "Mapping[str, Any] | PodSpec"


def build_extended_container_spec(links: Iterable[ContainerLink]) -> ContainerSpec:
    """What descriptions, from the first to the one that counts most, say together; a ContainerSpec says everything.

    Any of them may name the image. Raises InvalidSpecError that names the argument.
    """
    spec = _UNSAID
    for link in links:
        spec = _extend_container(spec, link)
    _require_image(spec)
    check_container(spec)
    return spec


def build_extended_pod_spec(links: Iterable[PodLink]) -> PodSpec:
    """What descriptions of a pod, from the first to the one that counts most, say together: members come together by
    name. Raises InvalidSpecError that names member and argument."""
    pod = PodSpec()
    for link in links:
        pod = _extend_pod(pod, link)
    for member in pod.members:
        with naming_member(member.name):
            _require_image(member.container)
            check_container(member.container)
    check_pod(pod)
    return add_members(replace(pod, members=()), pod.members)


def parse_container_link(link: ContainerLink) -> ContainerSpec:
    """One description as far as it can be judged alone, without an image perhaps. Raises InvalidSpecError."""
    return _extend_container(_UNSAID, link)


def parse_pod_link(link: PodLink) -> PodSpec:
    """One description of a pod as far as it can be judged alone. Raises InvalidSpecError."""
    return _extend_pod(PodSpec(), link)


_UNSAID = ContainerSpec(image="")


def _require_image(spec: ContainerSpec) -> None:
    if not spec.image:
        raise InvalidSpecError("names no image")


def _extend_container(spec: ContainerSpec, link: ContainerLink) -> ContainerSpec:
    if isinstance(link, ContainerSpec):
        return link
    given = parse_container_options(link)
    # Taking away what was added further out, or the other way round, is what the later one is for.
    spec = replace(
        spec,
        cap_add=_leave_out(spec.cap_add, given.get("cap_drop", ())),
        cap_drop=_leave_out(spec.cap_drop, given.get("cap_add", ())),
    )
    return replace(spec, **_join_fields(spec, given))


def _leave_out(names: tuple[str, ...], others: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in others)


def _extend_pod(pod: PodSpec, link: PodLink) -> PodSpec:
    if isinstance(link, PodSpec):
        return link
    fields, described = parse_pod_options(link)
    members = {member.name: member for member in pod.members}
    for name, value in described.items():
        members[name] = _extend_member(members.get(name) or MemberSpec(name, _UNSAID), _as_link(name, value))
    return replace(pod, **_join_fields(pod, fields), members=tuple(members.values()))


def _as_link(name: str, value: object) -> MemberLink:
    return value if isinstance(value, ContainerSpec | MemberSpec) else parse_member(name, value)


def _extend_member(member: MemberSpec, link: MemberLink) -> MemberSpec:
    if isinstance(link, MemberSpec):
        return replace(link, name=member.name)
    if isinstance(link, ContainerSpec):
        return replace(member, container=link)
    options = dict(link)
    own = take_member_options(member.name, options)
    if "needs" in own:
        own["needs"] = _join(member.needs, own["needs"], _itself)
    with naming_member(member.name):
        return replace(member, container=_extend_container(member.container, options), **own)


def _join_fields(spec: ContainerSpec | PodSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(given)
    if given.keys() & {"network", "network_container"}:
        fields.update(_join_networks(spec, given))
    if "dns" in given:
        fields["image_resolv_conf"] = False
    elif "image_resolv_conf" in given:
        fields.update(dns=(), dns_search=(), dns_options=())
    for name in given.keys() & {"env", "labels", "add_hosts"}:
        fields[name] = {**getattr(spec, name), **given[name]}
    for name in given.keys() & _KEYS.keys():
        fields[name] = _join(getattr(spec, name), given[name], _KEYS[name])
    return fields


def _join_networks(spec: ContainerSpec | PodSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Networks with names are joined; any other network takes the place of what was there."""
    mode, networks = given.get("network", NetworkMode.PRIVATE), given.get("networks", ())
    if spec.network is mode is NetworkMode.NAMED:
        networks = _join(spec.networks, networks, lambda one: one.network)
    joined: dict[str, Any] = {"network": mode, "networks": networks}
    if isinstance(spec, ContainerSpec):
        joined["network_container"] = given.get("network_container")
    if mode is not NetworkMode.NAMED and "aliases" not in given:
        return {**joined, "aliases": ()}
    return joined


def _join(outer: Sequence[Any], nearer: Sequence[Any], key: Callable[[Any], object]) -> tuple[Any, ...]:
    replaced = {key(one) for one in nearer}
    return (*(one for one in outer if key(one) not in replaced), *nearer)


def _itself(value: object) -> object:
    return value


_KEYS: Mapping[str, Callable[[Any], object]] = {
    "ports": lambda port: (port.container_port, port.protocol),
    "mounts": lambda mount: normalize_target(mount.target),
    "ulimits": lambda limit: limit.name,
    "aliases": _itself,
    "cap_add": _itself,
    "cap_drop": _itself,
    "artifacts": _itself,
}
