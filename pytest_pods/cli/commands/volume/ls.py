"""`volume ls`: lists volumes of the command line and of kept sessions."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup(
        "Options",
        Option("-q", "--quiet", help="names only"),
        Option("-f", "--filter", value="KEY=VALUE", repeats=True,
               help="only those with this name, label, or dangling=true: that no container uses"),
        Option("--format", value="FORMAT", help="json, a template such as '{{.Name}} {{.Links}}', or 'table …'"),
    ),
    text="""
A template may have .Name .Driver .Mountpoint .Labels .Scope .Links (how many containers use it) .CreatedAt .Anonymous
.Session; json is an array of documents as `volume inspect`.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.output import print_lines
    from pytest_pods.cli.templates import print_listing
    from pytest_pods.cli.volume_views import build_row, matches, parse_filters, read_volumes

    filters = parse_filters(parsed.all("--filter"))
    documents = [document for document in read_volumes(context) if matches(document, filters)]
    if parsed.flag("--quiet"):
        print_lines(document["Name"] for document in documents)
        return 0
    rows = [build_row(document, datetime.now(UTC)) for document in documents]
    columns = {"Driver": "DRIVER", "Name": "VOLUME NAME", "Links": "CONTAINERS", "CreatedSince": "CREATED"}
    if any(document["Session"] for document in documents):
        columns["Session"] = "SESSION"
    return print_listing(parsed, columns, rows, documents=lambda: documents)
