"""`volume create`: makes a volume."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "[NAME]",
    OptionGroup(
        "Options",
        Option("-l", "--label", value="KEY=VALUE", repeats=True, help="a label"),
        Option("-d", "--driver", value="DRIVER", help="accepted for others' sake", choices=("local",)),
        Option("--ignore", help="it is no error if there is one with the name"),
    ),
    least=0,
    most=1,
    text="""
Prints the name; without one, one is made up. The volume stays until it is removed, also when no container is there.
With --session it belongs to that session and goes with it.
""",
    examples=[("pytest-pods run -v $(pytest-pods volume create data):/data busybox", "a container with a new volume")],
)


def run(parsed: Parsed, context: Context) -> int:
    from contextlib import suppress

    from pytest_pods.cli.container_options import read_labels
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import NameInUseError

    name = next(iter(parsed.operands), None)
    engine = context.open_for_volumes()
    with suppress(*([NameInUseError] if parsed.flag("--ignore") and name else [])):
        name = engine.create_volume(name, labels=read_labels(parsed.all("--label"))).name
    print_line(str(name))
    return 0
