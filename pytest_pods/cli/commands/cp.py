"""`cp`: copies files between a container and this machine."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container

COMMAND = Command(
    "CONTAINER:PATH DEST | SRC CONTAINER:PATH",
    OptionGroup(
        "Options",
        Option("-L", "--follow-link", help="copy what a link leads to, where the source is one"),
        Option("-a", "--archive", help="keep owners; always so where it can be"),
    ),
    least=2,
    most=2,
    text="""
The container may run or not. Into a directory that is there, the source is copied under its name; a source that ends
with /. has its contents copied. A name here that has a colon in it is written ./NAME. With - for DEST or SRC a tar
archive goes to stdout, or comes from stdin into the directory PATH.
""",
    examples=[
        ("pytest-pods cp db:/var/lib/data ./data", "a directory of a container"),
        ("pytest-pods cp site/. web:/srv", "what is in a directory, into one of a container"),
        ("pytest-pods cp web:/var/log - | tar -tv", "as an archive"),
    ],
)


def run(parsed: Parsed, context: Context) -> int:
    (from_name, source), (to_name, destination) = map(_split, parsed.operands)
    if from_name and to_name:
        raise UsageError("a container is copied to another by way of this machine", hint="use cp twice, or a pipe")
    follow = parsed.flag("--follow-link")
    if from_name:
        _copy_out(context.get_container(from_name)[1], source, destination, follow=follow)
    elif to_name:
        _copy_in(context.get_container(to_name)[1], source, destination, follow=follow)
    else:
        raise UsageError("neither of the two is in a container", hint="write CONTAINER:PATH")
    return 0


def _split(operand: str) -> tuple[str, str]:
    """The container, empty for this machine, and the path."""
    name, colon, path = operand.partition(":")
    if not colon or not name or name.startswith((".", "/")) or "/" in name:
        return "", operand
    return name, path or "/"


def _copy_out(container: Container, source: str, destination: str, *, follow: bool) -> None:
    if destination != "-":
        container.copy_out(source, destination, follow=follow)
        return
    import sys

    if sys.stdout.isatty():
        raise UsageError("an archive is nothing to see on a terminal", hint="send it to a pipe or a file")
    container.export(source, sys.stdout.buffer, follow=follow)
    sys.stdout.buffer.flush()


def _copy_in(container: Container, source: str, destination: str, *, follow: bool) -> None:
    if source != "-":
        container.copy_in(source, destination, follow=follow)
        return
    import sys

    if sys.stdin.isatty():
        raise UsageError("cp - reads an archive from stdin, which is a terminal", hint="send it through a pipe")
    container.import_(destination, sys.stdin.buffer)
