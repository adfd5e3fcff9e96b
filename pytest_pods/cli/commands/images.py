"""`images`: lists the images of the store."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "[REFERENCE]",
    OptionGroup(
        "Options",
        Option("-q", "--quiet", help="IDs only"),
        Option("-a", "--all", help="accepted: all are shown anyway"),
        Option("--no-trunc", help="whole IDs"),
        Option("--format", value="FORMAT", help="json, a template such as '{{.Repository}}:{{.Tag}}', or 'table …'"),
    ),
    least=0,
    most=1,
    text="A template may have .Repository .Tag .ID .Digest .CreatedAt .CreatedSince .Size; json is as Podman's.",
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.image_views import build_image_document, build_image_rows
    from pytest_pods.cli.output import print_lines
    from pytest_pods.cli.templates import print_listing

    engine = context.open_for_images()
    images = [engine.image(parsed.operands[0])] if parsed.operands else engine.images()
    truncate = not parsed.flag("--no-trunc")
    if parsed.flag("--quiet"):
        print_lines(dict.fromkeys(image.short_id if truncate else str(image.id) for image in images))
        return 0
    now = datetime.now(UTC)
    rows = [row for image in images for row in build_image_rows(image, now, truncate=truncate)]
    columns = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID", "CreatedSince": "CREATED", "Size": "SIZE"}
    return print_listing(
        parsed, columns, rows, documents=lambda: [build_image_document(image) for image in images]
    )
