"""`shell`: the best shell that a running container has, on the caller's terminal."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container

COMMAND = Command(
    "CONTAINER",
    OptionGroup(
        "Options",
        Option("-u", "--user", value="USER[:GROUP]", help="who it runs as (default: the container's user)"),
        Option("-w", "--workdir", value="DIR", help="its working directory (default: the container's)"),
        Option("--privileged", help="all capabilities that this user has"),
    ),
    least=1,
    most=1,
    examples=[("pytest-pods shell db", "look around in a container that a failed test has kept")],
)

_SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/zsh", "/bin/ash", "/bin/sh", "/busybox/sh", "/bin/busybox")


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.executing import ExecOptions, execute
    from pytest_pods.cli.terminal import is_terminal

    container = context.get_container(parsed.operands[0])[1]
    command = find_shell(container)
    options = ExecOptions(
        interactive=True,
        tty=is_terminal(0),
        workdir=parsed.find("--workdir"),
        user=parsed.find("--user"),
        privileged=parsed.flag("--privileged"),
    )
    return execute(container, command, options)


def find_shell(container: Container) -> list[str]:
    """The first shell that starts there. Raises CommandNotFoundError if none does."""
    from pytest_pods.engine.errors import CommandNotFoundError

    for shell in _SHELLS:
        command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        if container.exec([*command, "-c", "exit 0"]).ok:
            return command
    raise CommandNotFoundError(
        f"container {container.name} ({container.image}) has no shell",
        hint="its image was made without one; pytest-pods exec runs the programs that it has",
    )
