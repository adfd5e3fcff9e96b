"""Runs a short program of the host to its end and collects what it says; without a sandbox, nothing outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DeadlineExceededError, MissingProgramError, SystemCallError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@frozen
class CommandResult:
    """How a program ended; `status` is -n after signal n."""

    status: int
    stdout: bytes
    stderr: bytes


def run_command(
    argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> CommandResult:
    """Runs `argv` (found on PATH; with the caller's environment where `env` is None) and waits for its end.

    Raises MissingProgramError, SystemCallError and DeadlineExceededError; a failure of the program itself is a result.
    """
    import subprocess

    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, env=env, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise MissingProgramError(f"{argv[0]} is not installed", hint=f"install {argv[0]}") from error
    except OSError as error:
        raise SystemCallError(
            f"cannot execute {argv[0]}: {error.strerror}", call="execve", errno=error.errno or 0, subject=argv[0]
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceededError(f"{argv[0]} did not end within {timeout_s:g} s") from error
    return CommandResult(done.returncode, done.stdout, done.stderr)
