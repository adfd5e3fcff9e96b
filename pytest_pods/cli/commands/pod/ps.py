"""`pod ps`: lists pods of the command line's session and of kept ones."""

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
        Option("-q", "--quiet", help="IDs only"),
        Option("--no-trunc", help="whole IDs"),
        Option("-l", "--latest", help="only the one that was made last"),
        Option("--ctr-names", help="the names of the containers"),
        Option("--ctr-ids", help="the IDs of the containers"),
        Option("--ctr-status", help="the states of the containers"),
        Option("-f", "--filter", value="KEY=VALUE", repeats=True,
               help="only those with this id, name, status, label, session, ctr-names, ctr-ids, ctr-number"),
        Option("--format", value="FORMAT", help="json, a template such as '{{.Name}} {{.Status}}', or 'table …'"),
    ),
    text="""
A template may have .ID .Name .Status .Created .NumberOfContainers .ContainerNames .ContainerIds .ContainerStatuses
.Labels .Networks .Session; json is an array of documents as Podman's.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.output import DOUBTFUL, GOOD, print_lines
    from pytest_pods.cli.pod_views import build_pod_document, build_pod_row, matches, parse_pod_filters, read_pods
    from pytest_pods.cli.templates import print_listing

    filters = parse_pod_filters(parsed.all("--filter"))
    seen = [one for one in read_pods(context) if matches(one, filters)]
    seen.sort(key=lambda one: one.record.created, reverse=True)
    if parsed.flag("--latest"):
        seen = seen[:1]
    truncate = not parsed.flag("--no-trunc")
    if parsed.flag("--quiet"):
        print_lines(one.record.id[:12] if truncate else one.record.id for one in seen)
        return 0
    now = datetime.now(UTC)
    rows = [build_pod_row(one, now, truncate=truncate) for one in seen]
    columns = {
        "ID": "POD ID",
        "Name": "NAME",
        "Status": "STATUS",
        "Created": "CREATED",
        "NumberOfContainers": "# OF CONTAINERS",
    }
    for option, column, header in (
        ("--ctr-ids", "ContainerIds", "IDS"),
        ("--ctr-names", "ContainerNames", "NAMES"),
        ("--ctr-status", "ContainerStatuses", "STATUS OF CONTAINERS"),
    ):
        if parsed.flag(option):
            columns[column] = header
    if any(one.kept for one in seen):
        columns["Session"] = "SESSION"
    colours = {row["Status"]: GOOD if row["Status"] == "Running" else DOUBTFUL for row in rows}
    return print_listing(
        parsed, columns, rows, documents=lambda: [build_pod_document(one) for one in seen], colours=colours
    )
