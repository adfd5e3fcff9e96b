"""`exec`: runs a command in a running container."""

from __future__ import annotations

import os

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

EXEC_OPTIONS = OptionGroup(
    "Options",
    Option("-d", "--detach", help="let it go on by itself; its output goes nowhere"),
    Option("-i", "--interactive", help="pass input on to it"),
    Option("-t", "--tty", help="give it a terminal"),
    Option("-e", "--env", value="NAME[=VALUE]", repeats=True, help="a variable; without a value, yours is passed on"),
    Option("--env-file", value="FILE", repeats=True, help="variables, one NAME=VALUE a line"),
    Option("-w", "--workdir", value="DIR", help="its working directory (default: the container's)"),
    Option("-u", "--user", value="USER[:GROUP]", help="who it runs as (default: the container's user)"),
    Option("--privileged", help="all capabilities that this user has"),
)

COMMAND = Command(
    "CONTAINER COMMAND [ARGUMENT...]",
    EXEC_OPTIONS,
    least=2,
    most=None,
    stops_at_operand=True,
    text="Its exit code is the command's; 126 if that cannot be executed, 127 if it was not found.",
    examples=[
        ("pytest-pods exec web cat /etc/hosts", "the output of a command"),
        ("pytest-pods exec -it web sh", "a shell (`pytest-pods shell web` finds the best one)"),
    ],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import read_environment
    from pytest_pods.cli.executing import ExecOptions, execute, start_detached

    name, *command = parsed.operands
    options = ExecOptions(
        interactive=parsed.flag("--interactive"),
        tty=parsed.flag("--tty"),
        env=read_environment(parsed.all("--env-file"), parsed.all("--env"), os.environ),
        workdir=parsed.find("--workdir"),
        user=parsed.find("--user"),
        privileged=parsed.flag("--privileged"),
    )
    container = context.get_container(name)[1]
    begin = start_detached if parsed.flag("--detach") else execute
    return begin(container, command, options)
