"""`volume import`: puts what is in a tar archive into a volume."""

from __future__ import annotations

from pytest_pods.cli.options import Command, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "VOLUME [FILE]",
    least=1,
    most=2,
    text="""
The archive may be compressed; without FILE, or with -, it is read from stdin. What the volume has under other names
stays. The volume has to exist.
""",
    examples=[("tar -C seed -c . | pytest-pods volume import data", "a directory of this machine into a volume")],
)


def run(parsed: Parsed, context: Context) -> int:
    import sys

    name, source = parsed.operands[0], parsed.operands[1] if len(parsed.operands) > 1 else "-"
    volume = context.get_volume(name)
    if source != "-":
        try:
            file = open(source, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise UsageError(f"reading {source}: {error.strerror}") from error
        with file:
            volume.import_(file)
        return 0
    if sys.stdin.isatty():
        raise UsageError("volume import reads an archive from stdin, which is a terminal", hint="name a FILE")
    volume.import_(sys.stdin.buffer)
    return 0
