"""`volume export`: writes what is in a volume as a tar archive."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "VOLUME",
    OptionGroup("Options", Option("-o", "--output", value="FILE", help="where to (default: stdout)")),
    least=1,
    most=1,
    examples=[("pytest-pods volume export data | tar -tv", "what is in it")],
)


def run(parsed: Parsed, context: Context) -> int:
    import sys

    name, output = parsed.operands[0], parsed.find("--output")
    volume = context.get_volume(name)
    if output is None:
        if sys.stdout.isatty():
            raise UsageError("an archive is nothing to see on a terminal", hint="write -o FILE, or send it to a pipe")
        volume.export(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    from pytest_pods.cli.files import replacing

    with replacing(output) as file:
        volume.export(file)
    return 0
