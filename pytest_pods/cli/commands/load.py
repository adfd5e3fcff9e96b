"""`load`: brings the images of a docker-archive or oci-archive into the store."""

from __future__ import annotations

import sys

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "[FILE]",
    OptionGroup(
        "Options",
        Option("-i", "--input", value="FILE", help="the archive (default: stdin)"),
        Option("-q", "--quiet", help="no progress"),
    ),
    least=0,
    most=1,
    text="Takes what `docker save`, `podman save` and `skopeo copy` write.",
    examples=[("docker save redis:7 | pytest-pods load", "an image from a Docker on the same machine")],
)


def run(parsed: Parsed, context: Context) -> int:
    from contextlib import ExitStack
    from pathlib import Path

    from pytest_pods.cli.options import UsageError
    from pytest_pods.cli.output import print_line
    from pytest_pods.cli.progress import choose_progress

    given = parsed.find("--input") or next(iter(parsed.operands), None)
    engine = context.open_for_images(progress=choose_progress(quiet=parsed.flag("--quiet")))
    with ExitStack() as stack:
        if given not in (None, "-"):
            path = Path(str(given))
        elif sys.stdin.isatty():
            raise UsageError("load reads an archive from stdin, which is a terminal", hint="write -i FILE")
        else:
            import tempfile

            # An archive's table is read more than once.
            path = _copy_stdin(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pytest-pods-load-"))))
        for image in engine.load(path):
            names = image.references or (str(image.id),)
            for name in names:
                print_line(f"Loaded image: {name}")
    return 0


def _copy_stdin(directory: Path) -> Path:
    import shutil

    path = directory / "archive"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1024 * 1024)
    return path
