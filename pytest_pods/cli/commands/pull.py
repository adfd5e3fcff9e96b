"""`pull`: brings images from their registries into the store."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "IMAGE...",
    OptionGroup(
        "Options",
        Option("-q", "--quiet", help="no progress"),
        Option("--platform", value="OS/ARCH", help="which of the image's platforms (default: this machine's)"),
        Option("--policy", value="WHEN", help="when to ask the registry (default always)",
               choices=("missing", "always", "newer", "never")),
    ),
    least=1,
    most=None,
    text="Prints the image's ID. Progress goes to stderr: bars on a terminal, lines elsewhere.",
    examples=[("pytest-pods pull redis:7", "the image that Docker would pull by that name")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line
    from pytest_pods.cli.progress import choose_progress
    from pytest_pods.engine.specs.container import PullPolicy

    engine = context.open_for_images(progress=choose_progress(quiet=parsed.flag("--quiet")))
    policy = PullPolicy(parsed.find("--policy") or "always")

    def act(name: str) -> None:
        print_line(engine.pull(name, policy=policy, platform=parsed.find("--platform")).id.hex)

    return context.for_each(parsed.operands, act)
