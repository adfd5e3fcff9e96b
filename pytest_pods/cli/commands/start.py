"""`start`: starts containers that were created or have ended; with -a or -i one of them in the foreground."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER...",
    OptionGroup(
        "Options",
        Option("-a", "--attach", help="show its output, pass signals on, and end with its exit code"),
        Option("-i", "--interactive", help="pass input on to it (it has to be created with -i)"),
        Option("--sig-proxy", help="pass signals on to it (default true)"),
        Option("--detach-keys", value="KEYS", help="keys that leave it running (default ctrl-p,ctrl-q)"),
    ),
    least=1,
    most=None,
)


def run(parsed: Parsed, context: Context) -> int:
    attached = parsed.flag("--attach") or parsed.flag("--interactive")
    if attached and len(parsed.operands) > 1:
        from pytest_pods.cli.options import UsageError

        raise UsageError("only one container can be in the foreground")
    return _start_attached(parsed, context) if attached else _start_all(parsed, context)


def _start_attached(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.foreground import Foreground, parse_keys, run_created

    engine, container = context.get_container(parsed.operands[0])
    how = Foreground(
        interactive=parsed.flag("--interactive") and container.spec.interactive,
        tty=container.spec.tty,
        proxy=parsed.find("--sig-proxy") != "false",
        detach_keys=parse_keys(parsed.find("--detach-keys")),
    )
    return run_created(context, engine, container, how)


def _start_all(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line

    def act(name: str) -> None:
        context.get_container(name)[1].start()
        print_line(name)

    return context.for_each(parsed.operands, act)
