"""Trying out what the kernel does for this user. It takes a process and some milliseconds, so only doctor asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.host.commands import run_command
from pytest_pods.engine.host.sandbox import Sandbox, SandboxSpec, UserNamespace
from pytest_pods.frozen import frozen

_PATIENCE_S = 30.0


@frozen
class Probe:
    """Whether something worked, and if not, what the kernel said; `works` is None where it was not tried."""

    works: bool | None
    reason: str = ""


@frozen
class KernelProbes:
    """What the kernel does for this user."""

    overlay: Probe
    volatile: Probe
    lowerdir_plus: Probe
    userxattr: Probe
    id_mapped: Probe
    tun: Probe


def probe_kernel(*, scratch: Path, store: Path) -> KernelProbes:
    """Tries it out in a child; `scratch` is an empty directory, `store` one on the file system of the store."""
    program = Path(__file__).with_name("probe_program.py")
    argv = [sys.executable, "-I", "-S", str(program), str(scratch), str(store)]
    try:
        result = run_command(argv, env={"LC_ALL": "C"}, timeout_s=_PATIENCE_S)
        failure = result.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        answers = parse_answers(result.stdout.decode("utf-8", "replace"))
    except PodsError as error:
        failure, answers = error.brief, {}
    blocked = next((answers[name] for name in ("user namespace", "mount namespace") if _failed(answers, name)), None)

    def find(name: str) -> Probe:
        return answers.get(name) or blocked or Probe(None, failure or "not tried")

    return KernelProbes(
        overlay=find("overlay"),
        volatile=find("overlay volatile"),
        lowerdir_plus=find("overlay lowerdir+"),
        userxattr=find("overlay userxattr"),
        id_mapped=answers.get("id-mapped mounts") or Probe(None, "only root can use them"),
        tun=answers.get("tun") or Probe(None, failure or "not tried"),
    )


def _failed(answers: dict[str, Probe], name: str) -> bool:
    return name in answers and not answers[name].works


_NAMES = (
    "user namespace",
    "mount namespace",
    "overlay volatile",
    "overlay lowerdir+",
    "overlay userxattr",
    "overlay",
    "id-mapped mounts",
    "tun",
)


def parse_answers(text: str) -> dict[str, Probe]:
    """Reads what the program printed."""
    answers = {}
    for line in text.splitlines():
        name = next((one for one in _NAMES if line.startswith(f"{one} ")), None)
        if name is not None:
            said = line.removeprefix(name).strip()
            answers[name] = Probe(said == "ok", "" if said == "ok" else said)
    return answers


def probe_sandbox(directory: Path, *, level: int, user: UserNamespace | None) -> Probe:
    """Starts a sandbox of a level and ends it; `directory` is an empty one."""
    lock = os.open(directory / f"lock-{level}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        sandbox = Sandbox.start(SandboxSpec(lock=lock, directories=(), level=level, user=user))
    except PodsError as error:
        return Probe(False, error.brief)
    finally:
        os.close(lock)
    sandbox.shutdown()
    return Probe(True)
