"""`volume rm`: removes volumes with all that is in them."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "VOLUME...",
    OptionGroup(
        "Options",
        Option("-f", "--force", help="remove the containers that use it first; one that is not there is no error"),
        Option("-a", "--all", help="all of them"),
    ),
    least=0,
    most=None,
    text="Prints the name of each volume that was removed. One that a container uses is not, unless with -f.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import VolumeNotFoundError

    force = parsed.flag("--force")

    def act(name: str) -> None:
        try:
            volume = context.get_volume(name)
        except VolumeNotFoundError:
            if force:
                return
            raise
        volume.remove(force=force)
        print_line(name)

    def known() -> list[str]:
        return [volume.name for _, volume in context.find_volumes() if not volume.anonymous]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=known, what="VOLUME")
    return context.for_each(names, act)
