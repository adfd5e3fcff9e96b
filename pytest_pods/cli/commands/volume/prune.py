"""`volume prune`: removes the volumes that no container uses."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-f", "--force", help="do not ask")),
    text="Those of kept sessions stay, unless --session names one. Prints the name of each volume that was removed.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_lines, print_note

    if not parsed.flag("--force"):
        print_note("This removes all volumes that no container uses, with all that is in them. Go on? [y/N]")
        try:
            answer = input()
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            return 1
    print_lines(context.open_for_volumes().prune_volumes())
    return 0
