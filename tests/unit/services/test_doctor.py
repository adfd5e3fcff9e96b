"""What is found on a machine is judged for what follows from it, and every lack comes with its cure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pods.engine.host.features import LevelChoice, Obstacle, UserNamespaceSwitches
from pytest_pods.engine.host.probing import KernelProbes, Probe
from pytest_pods.engine.host.programs import Version
from pytest_pods.engine.host.subordinate_ids import SubordinateIds, SubordinateRange
from pytest_pods.engine.runtime.cgroups import CgroupVersion
from pytest_pods.engine.services.doctor import Diagnosis, Finding, Health, build_diagnosis
from pytest_pods.engine.services.machine import PROGRAMS, MachineFacts, PlaceFacts, ProgramFacts

GOOD = Probe(True)
BAD = Probe(False, "Operation not permitted")
RANGE = (SubordinateRange(100_000, 65_536),)
MACHINE = MachineFacts(
    uid=1000,
    kernel=Version((6, 1, 0)),
    architecture="x86_64",
    helper="",
    programs=tuple(ProgramFacts(name, Path("/usr/bin") / name, Version((1, 1))) for name in PROGRAMS),
    switches=UserNamespaceSwitches(1, 15_000, 0),
    ids=SubordinateIds(RANGE, RANGE),
    id_obstacle=None,
    level=LevelChoice(1),
    sandboxes=(GOOD, Probe(None, "not needed")),
    kernel_probes=KernelProbes(GOOD, GOOD, GOOD, GOOD, GOOD, GOOD),
    cgroup_version=CgroupVersion.V2,
    group_parent="/user.slice",
    scopes=False,
    groups_writable=True,
    seccomp=True,
    libseccomp=True,
    root=PlaceFacts(Path("/store"), 10**11),
    run_root=PlaceFacts(Path("/run"), 10**11),
)


def find(diagnosis: Diagnosis, subject: str) -> Finding:
    (finding,) = (one for one in diagnosis.findings if one.subject == subject)
    return finding


@pytest.mark.parametrize("uid", [0, 1000])
def test_machine_that_has_everything_is_all_good(uid: int) -> None:
    diagnosis = build_diagnosis(replace(MACHINE, uid=uid))
    assert [finding for finding in diagnosis.findings if finding.health is not Health.GOOD] == []
    assert diagnosis.able
    assert (diagnosis.level, diagnosis.rootless) == (1, uid != 0)


def without(program: str) -> MachineFacts:
    programs = tuple(
        ProgramFacts(one.name, None, hint=f"apt install {program}") if one.name == program else one
        for one in MACHINE.programs
    )
    return replace(MACHINE, programs=programs)


@pytest.mark.parametrize(
    ("facts", "subject", "health", "words"),
    [
        pytest.param(without("runc"), "runc", Health.MISSING, "apt install runc", id="runc"),
        pytest.param(without("conmon"), "conmon", Health.MISSING, "apt install conmon", id="conmon"),
        pytest.param(without("slirp4netns"), "slirp4netns", Health.LIMITED, "apt install slirp4netns", id="slirp"),
        pytest.param(
            replace(MACHINE, helper="the native helper is missing"), "native helper", Health.MISSING, "make native",
            id="native helper",
        ),
        pytest.param(
            replace(MACHINE, switches=UserNamespaceSwitches(0, 15_000, 0), sandboxes=(BAD, BAD)),
            "user namespaces", Health.MISSING, "sysctl kernel.unprivileged_userns_clone=1", id="user namespaces",
        ),
        pytest.param(
            replace(MACHINE, id_obstacle=Obstacle("no ranges for ann", "usermod --add-subuids")),
            "subordinate ids", Health.LIMITED, "usermod", id="no subordinate ids",
        ),
        pytest.param(
            replace(MACHINE, ids=SubordinateIds((SubordinateRange(1, 1000),), RANGE)),
            "subordinate ids", Health.LIMITED, "65536", id="few subordinate ids",
        ),
        pytest.param(
            replace(MACHINE, sandboxes=(BAD, GOOD), level=LevelChoice(2, Obstacle("/proc is masked", "unmask=ALL"))),
            "sandbox", Health.LIMITED, "unmask=ALL", id="level 2",
        ),
        pytest.param(replace(MACHINE, sandboxes=(BAD, BAD)), "sandbox", Health.MISSING, "", id="no sandbox"),
        pytest.param(
            replace(MACHINE, kernel_probes=replace(MACHINE.kernel_probes, overlay=BAD)),
            "overlayfs", Health.MISSING, "modprobe overlay", id="no overlay",
        ),
        pytest.param(
            replace(MACHINE, kernel_probes=replace(MACHINE.kernel_probes, volatile=BAD)),
            "volatile mounts", Health.LIMITED, "newer kernel", id="no volatile mounts",
        ),
        pytest.param(
            replace(MACHINE, kernel_probes=replace(MACHINE.kernel_probes, tun=BAD)),
            "/dev/net/tun", Health.LIMITED, "modprobe tun", id="no tun",
        ),
        pytest.param(
            replace(MACHINE, group_parent=None), "control groups", Health.LIMITED, "Delegate=yes", id="no delegation"
        ),
        pytest.param(
            replace(MACHINE, group_parent=None, cgroup_version=CgroupVersion.HYBRID),
            "control groups", Health.LIMITED, "unified_cgroup_hierarchy=1", id="hybrid, rootless",
        ),
        pytest.param(replace(MACHINE, libseccomp=False), "seccomp", Health.LIMITED, "libseccomp2", id="no libseccomp"),
        pytest.param(
            replace(MACHINE, root=PlaceFacts(Path("/store"), 10**11, "/store cannot be written")),
            "store", Health.MISSING, "PYTEST_PODS_ROOT", id="store that is closed",
        ),
        pytest.param(
            replace(MACHINE, root=PlaceFacts(Path("/store"), 10**6)), "store", Health.LIMITED, "free space", id="full"
        ),
    ],
)  # fmt: skip
def test_lack_is_judged_and_has_a_cure(facts: MachineFacts, subject: str, health: Health, words: str) -> None:
    diagnosis = build_diagnosis(facts)
    finding = find(diagnosis, subject)
    assert finding.health is health
    assert words in finding.cure
    assert finding.means
    assert diagnosis.able is (health is not Health.MISSING)


def test_level_is_that_of_the_sandbox_that_started() -> None:
    assert build_diagnosis(replace(MACHINE, sandboxes=(BAD, GOOD))).level == 2
    assert build_diagnosis(replace(MACHINE, sandboxes=(BAD, BAD))).level == 0


def test_systemd_that_can_be_asked_for_a_group_is_as_good_as_having_one() -> None:
    finding = find(build_diagnosis(replace(MACHINE, group_parent=None, scopes=True)), "control groups")
    assert finding.health is Health.GOOD
    assert "scope" in finding.found


def test_restriction_that_a_profile_exempts_from_is_no_obstacle() -> None:
    facts = replace(MACHINE, switches=UserNamespaceSwitches(1, 15_000, 1))
    assert find(build_diagnosis(facts), "user namespaces").health is Health.GOOD
