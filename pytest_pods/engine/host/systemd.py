"""The user's systemd, asked for a scope: a control group below which an ordinary user may make groups of their own.

After a login over ssh a user's processes are in a group that belongs to root. Only systemd, which runs the user's
services, can move them into one that is delegated to the user.
"""

from __future__ import annotations

import os
from pathlib import Path

from pytest_pods.engine.host.programs import find_program
from pytest_pods.frozen import frozen

_SLICE = "app.slice"


@frozen
class Scope:
    """A scope that does not exist yet.

    A program that is executed with `prefix` in front and `environment` around it runs in it, under the pid and with the
    descriptors that it would have had without. systemd removes the scope with its last process.
    """

    group: str
    """Its path below the tree of cgroup v2."""
    prefix: tuple[str, ...]
    environment: dict[str, str]


def find_scope(name: str, *, run_directory: Path | None = None) -> Scope | None:
    """The scope `name` as this user's systemd would make it; None where none runs for this user.

    `run_directory` is where the user's bus is (`/run/user/UID`, as pam_systemd makes it).
    """
    uid = os.getuid()
    run_directory = run_directory or Path("/run/user") / str(uid)
    program = find_program("systemd-run")
    if program is None or not (run_directory / "bus").exists() or not (run_directory / "systemd").exists():
        return None
    unit = f"{name}.scope"
    options = ("--user", "--scope", "--quiet", "--collect", f"--slice={_SLICE}", f"--unit={unit}")
    return Scope(
        group=f"/user.slice/user-{uid}.slice/user@{uid}.service/{_SLICE}/{unit}",
        prefix=(str(program), *options, "--property=Delegate=yes", "--"),
        environment={
            "XDG_RUNTIME_DIR": str(run_directory),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run_directory}/bus",
        },
    )
