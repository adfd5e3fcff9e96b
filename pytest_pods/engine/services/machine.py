"""All that doctor knows of the machine, read and tried out once. What it means stands in `services/doctor.py`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import MissingProgramError, PodsError, UnsupportedHostError
from pytest_pods.engine.host.features import (
    LevelChoice,
    Obstacle,
    UserNamespaceSwitches,
    choose_level,
    find_id_obstacle,
    find_user_namespace,
    read_kernel_version,
    read_user_namespace_switches,
)
from pytest_pods.engine.host.probing import KernelProbes, Probe, probe_kernel, probe_sandbox
from pytest_pods.engine.host.programs import Version, find_program, get_program, get_version
from pytest_pods.engine.host.sandbox import helper_path
from pytest_pods.engine.host.subordinate_ids import SubordinateIds, find_subordinate_ids
from pytest_pods.engine.host.systemd import find_scope
from pytest_pods.engine.runtime.cgroups import find_delegated_parent, read_cgroup_layout
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.host.sandbox import UserNamespace
    from pytest_pods.engine.runtime.cgroups import CgroupVersion
    from pytest_pods.engine.state.layout import StoreLayout

PROGRAMS = ("runc", "conmon", "slirp4netns", "netavark", "aardvark-dns", "nft", "newuidmap", "newgidmap")
_VERSIONED = frozenset({"runc", "conmon", "slirp4netns", "netavark", "aardvark-dns", "nft"})


@frozen
class ProgramFacts:
    """One program: where it is, None if nowhere; `hint` says how to install it."""

    name: str
    path: Path | None
    version: Version | None = None
    hint: str = ""


@frozen
class PlaceFacts:
    """A directory of the store: whether it can be written, and the room that there is. `fault` says why not."""

    path: Path
    free_bytes: int = 0
    fault: str = ""


@frozen
class MachineFacts:
    """The machine as this user sees it. `group_parent` is where a rootless session's control groups would go; without
    one, `scopes` says whether a systemd can be asked for one."""

    uid: int
    kernel: Version
    architecture: str
    helper: str
    programs: tuple[ProgramFacts, ...]
    switches: UserNamespaceSwitches
    ids: SubordinateIds
    id_obstacle: Obstacle | None
    level: LevelChoice
    sandboxes: tuple[Probe, Probe]
    kernel_probes: KernelProbes
    cgroup_version: CgroupVersion
    group_parent: str | None
    scopes: bool
    groups_writable: bool
    seccomp: bool
    libseccomp: bool
    root: PlaceFacts
    run_root: PlaceFacts

    @property
    def rootless(self) -> bool:
        return self.uid != 0


def read_machine(store: StoreLayout) -> MachineFacts:
    """Reads and tries out everything; leaves nothing behind."""
    layout = read_cgroup_layout()
    user, level = _find_user()
    with tempfile.TemporaryDirectory(prefix="pytest-pods-doctor-") as text:
        scratch = Path(text)
        (scratch / "mount").mkdir()
        probes = probe_kernel(scratch=scratch / "mount", store=_existing(store.root))
        sandboxes = _probe_sandboxes(scratch, user)
    unified = layout.unified
    return MachineFacts(
        uid=os.geteuid(),
        kernel=read_kernel_version(),
        architecture=os.uname().machine,
        helper=_find_helper(),
        programs=tuple(_find_program_facts(name) for name in PROGRAMS),
        switches=read_user_namespace_switches(),
        ids=find_subordinate_ids(),
        id_obstacle=find_id_obstacle() if os.geteuid() else None,
        level=level,
        sandboxes=sandboxes,
        kernel_probes=probes,
        cgroup_version=layout.version,
        group_parent=find_delegated_parent(layout, Path("/proc/self/cgroup").read_text()),
        scopes=find_scope("pytest-pods") is not None,
        groups_writable=unified is not None and os.access(unified, os.W_OK),
        seccomp=Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        libseccomp=_has_libseccomp(),
        root=_read_place(store.root),
        run_root=_read_place(store.run_root),
    )


def _find_user() -> tuple[UserNamespace | None, LevelChoice]:
    if os.geteuid() == 0:
        return None, choose_level()
    try:
        return find_user_namespace(), choose_level()
    except UnsupportedHostError:
        # The sandbox then says the same, and the switches say why.
        return None, choose_level()


def _probe_sandboxes(scratch: Path, user: UserNamespace | None) -> tuple[Probe, Probe]:
    if os.geteuid() != 0 and user is None:
        forbidden = Probe(False, "user namespaces are forbidden to ordinary users")
        return forbidden, forbidden
    first = probe_sandbox(scratch, level=1, user=user)
    return first, Probe(None, "not needed") if first.works else probe_sandbox(scratch, level=2, user=user)


def _find_helper() -> str:
    """Why the native helper cannot be used, empty if it can."""
    try:
        path = helper_path()
    except MissingProgramError as error:
        return error.brief
    return "" if os.access(path, os.X_OK) else f"{path} is not executable"


def _find_program_facts(name: str) -> ProgramFacts:
    path = find_program(name)
    if path is None:
        try:
            get_program(name)
        except MissingProgramError as error:
            return ProgramFacts(name, None, hint=error.hint or "")
    version = None
    if path is not None and name in _VERSIONED:
        try:
            version = get_version(path)
        except PodsError as error:
            return ProgramFacts(name, path, hint=error.brief)
    return ProgramFacts(name, path, version)


def _has_libseccomp() -> bool:
    from pytest_pods.engine.runtime.seccomp_filter import library_is_there

    return library_is_there()


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.is_dir())


def _read_place(path: Path) -> PlaceFacts:
    place = _existing(path)
    free = os.statvfs(place)
    fault = "" if os.access(place, os.W_OK | os.X_OK) else f"{place} cannot be written"
    return PlaceFacts(path, free.f_bavail * free.f_frsize, fault)
