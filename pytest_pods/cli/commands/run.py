"""`run`: a container is created and started, in the foreground or, with -d, left running."""

from __future__ import annotations

from pytest_pods.cli.container_options import CONTAINER_GROUPS, build_spec
from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "IMAGE [COMMAND [ARGUMENT...]]",
    OptionGroup(
        "Options",
        Option("-d", "--detach", help="leave it running and print its ID"),
        Option("--rm", help="remove it when it ends"),
        Option("--sig-proxy", help="pass signals on to it (default true)"),
        Option("--detach-keys", value="KEYS", help="keys that leave it running (default ctrl-p,ctrl-q; needs -t)"),
    ),
    *CONTAINER_GROUPS,
    least=1,
    most=None,
    stops_at_operand=True,
    text="""
Without -d its output is yours, signals are passed on to it, and its exit code is that of the command; 125 means that
pytest-pods failed, 126 that the container's command cannot be executed, 127 that it was not found.
""",
    examples=[
        ("pytest-pods run --rm -it debian bash", "a shell in a fresh container"),
        ("pytest-pods run -d --name web -p 8080:80 nginx", "a service on port 8080 of this machine"),
        ("echo hello | pytest-pods run --rm -i busybox cat", "input from a pipe"),
    ],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.joining import open_for_container
    from pytest_pods.cli.output import print_line

    detached = parsed.flag("--detach")
    spec = build_spec(parsed, remove=parsed.flag("--rm"))
    if detached:
        with open_for_container(parsed, context) as engine:
            container = engine.run_from(spec)
        print_line(container.id)
        return 0
    from pytest_pods.cli.foreground import Foreground, parse_keys, run_created

    how = Foreground(
        interactive=spec.interactive,
        tty=spec.tty,
        proxy=parsed.find("--sig-proxy") != "false",
        detach_keys=parse_keys(parsed.find("--detach-keys")),
    )
    with open_for_container(parsed, context) as engine:
        container = engine.create_from(spec)
    return run_created(context, engine, container, how)
