"""`rmi`: removes images from the store."""

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
        Option("-f", "--force", help="also what containers use; their layers stay until they are gone"),
        Option("-a", "--all", help="all of them"),
    ),
    least=0,
    most=None,
    text="By reference, one name goes, and the image with its last one; by ID, all of its names.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line

    engine = context.open_for_images()

    def act(name: str) -> None:
        engine.remove_image(name, force=parsed.flag("--force"))
        print_line(f"Removed: {name}")

    def known() -> list[str]:
        return [reference for image in engine.images() for reference in image.references or (str(image.id),)]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=known, what="IMAGE")
    return context.for_each(names, act)
