"""`attach`: joins the caller's streams to a container that runs already."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER",
    OptionGroup(
        "Options",
        Option("--no-stdin", help="do not pass input on to it"),
        Option("--sig-proxy", help="pass signals on to it (default true)"),
        Option("--detach-keys", value="KEYS", help="keys that leave it running (default ctrl-p,ctrl-q)"),
    ),
    least=1,
    most=1,
    text="What it said before is in its log: `pytest-pods logs`.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.foreground import Foreground, parse_keys, run_in_foreground
    from pytest_pods.engine.errors import WrongStateError

    _, container = context.get_container(parsed.operands[0])
    if not container.running:
        raise WrongStateError(f"container {container.name} does not run", hint="pytest-pods start -a starts it")
    how = Foreground(
        interactive=container.spec.interactive and not parsed.flag("--no-stdin"),
        tty=container.spec.tty,
        proxy=parsed.find("--sig-proxy") != "false",
        detach_keys=parse_keys(parsed.find("--detach-keys")),
    )
    return run_in_foreground(container, how, start=False)
