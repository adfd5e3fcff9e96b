"""Programs of the host beside a container: in its network, where its names are found, with the host's files.

They need nothing of its image, which may have no shell, nor that it runs: its network is there until it is removed.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.services.placement import find_etc, find_network_namespace
from pytest_pods.engine.specs.networks import NetworkMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.host.terminals import Terminal
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.values import Command

# The mount namespace is its own: nobody else sees other names. The leader of a process session gets the first terminal
# that it opens as its controlling one, which makes job control and keys such as ctrl-c work.
_PREPARE = """
mount --bind "$1" /etc/hosts || exit 125
[ -z "$2" ] || mount --bind "$2" /etc/resolv.conf ||
    echo "names of networks are not found: /etc/resolv.conf is not replaced" >&2
if [ "$3" = tty ]; then tty=$(readlink /proc/self/fd/0) && exec 0<>"$tty" 1>&0 2>&0; fi
shift 3
exec "$@"
"""


class Beside:
    """The place beside one container."""

    def __init__(self, session: Session, record: ContainerRecord) -> None:
        self._session = session
        self._record = record

    def open_terminal(self) -> Terminal:
        """A terminal of the host, for `exec_attached`; the caller relays its outer end and closes it."""
        from pytest_pods.engine.host.terminals import Terminal

        return Terminal(self._session.start().open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))

    def exec_attached(
        self,
        command: Command,
        *,
        stdin: int | None,
        stdout: int,
        stderr: int,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
    ) -> int:
        """Executes a program of the host on descriptors of the caller and returns its exit code.

        It sees the processes of the session, and runs as who the session runs as; an ordinary user's is root there.
        With `tty` all three descriptors are the inner end of `open_terminal`. Raises MissingProgramError.
        """
        from pytest_pods.engine.services.execution import run_attached

        argv = shlex.split(command) if isinstance(command, str) else [*command]

        def start(descriptors: Mapping[int, int]) -> SandboxProcess:
            return self._start(argv, descriptors, tty=tty, env=env or {}, workdir=workdir)

        return run_attached(start, stdin=stdin, stdout=stdout, stderr=stderr)

    def _start(
        self,
        argv: list[str],
        descriptors: Mapping[int, int],
        *,
        tty: bool,
        env: Mapping[str, str],
        workdir: str | None,
    ) -> SandboxProcess:
        from pathlib import Path

        etc = find_etc(self._session.layout, self._record)
        namespace = find_network_namespace(self._session.layout, self._record)
        programs = [str(get_program(name)) for name in ("unshare", "sh", "mount")]
        return self._session.start().spawn(
            [
                programs[0],
                *("--mount", "--propagation", "private", programs[1], "-c", _PREPARE, "sh"),
                *(str(etc.hosts), str(etc.resolv_conf or ""), "tty" if tty else ""),
                *argv,
            ],
            env={"PATH": os.defpath, **env},
            cwd=None if workdir is None else Path(workdir),
            descriptors=descriptors,
            namespaces=[] if namespace is None else [namespace],
            host_network=self._record.spec.network is NetworkMode.HOST,
            new_session=tty,
            pidfd=True,
        )
