"""Why a container's command could not be executed, by what is in its root and not by what the runtime wrote."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from pytest_pods.engine.errors import CommandNotExecutableError, CommandNotFoundError, OCIRuntimeError

FileLookup: TypeAlias = Callable[[str], int | None]
"""The mode (`st_mode`, links followed inside the container's root) of an absolute path there, None if there is none."""

NOT_FOUND = 127
NOT_EXECUTABLE = 126
RUNTIME_FAILED = 125


def explain_failure(
    *,
    command: str,
    environment: Mapping[str, str],
    working_directory: str,
    lookup: FileLookup,
    subject: str,
    message: str,
) -> OCIRuntimeError:
    """The error for a command that the runtime could not start in the container `subject`; `message` is the runtime's
    text and only becomes a detail."""
    found = [
        mode for path in _candidates(command, environment, working_directory) if (mode := lookup(path)) is not None
    ]
    if any(stat.S_ISREG(mode) and mode & 0o111 for mode in found):
        return OCIRuntimeError(f"{subject} cannot be created: {_first_line(message)}", details=message or None)
    if found:
        reason = "is a directory" if stat.S_ISDIR(found[0]) else "is not executable"
        return CommandNotExecutableError(f"{subject}: the command {command!r} {reason}", details=message or None)
    where = "in its image" if "/" in command else f"in PATH ({environment.get('PATH', '')}) of its image"
    return CommandNotFoundError(
        f"{subject}: the command {command!r} does not exist {where}",
        details=message or None,
        hint="a shell's built-in or a pipe needs the shell: ['sh', '-c', …]" if " " in command else None,
    )


def exit_status(error: OCIRuntimeError) -> int:
    """The exit status that stands for the error, as Podman's: 125, 126 or 127."""
    if isinstance(error, CommandNotFoundError):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutableError) else RUNTIME_FAILED


def _candidates(command: str, environment: Mapping[str, str], working_directory: str) -> Iterator[str]:
    if "/" in command:
        yield posixpath.join(working_directory, command)
        return
    for directory in environment.get("PATH", "").split(":"):
        yield posixpath.join(working_directory, directory, command)


def _first_line(message: str) -> str:
    return next(iter(message.splitlines()), "") or "the runtime gave no reason"
