"""`ps`: lists containers of the command line's session and of kept ones."""

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
        Option("-a", "--all", help="also those that do not run"),
        Option("-q", "--quiet", help="IDs only"),
        Option("--no-trunc", help="whole IDs and commands"),
        Option("-p", "--pod", help="the pods that they are in"),
        Option("-l", "--latest", help="only the one that was made last, whatever its state"),
        Option("-f", "--filter", value="KEY=VALUE", repeats=True,
               help="only those with this id, name, status, label, network, ancestor (image), session, health, exited "
               "(code)"),
        Option("--format", value="FORMAT", help="json, a template such as '{{.ID}} {{.Names}}', or 'table …'"),
    ),
    text="""
A template may have .ID .Names .Image .Command .CreatedAt .RunningFor .Status .State .Ports .Networks .Labels .Pod
.PodName .Session .ExitCode .Health; json is an array of documents as Podman's.
""",
    examples=[("pytest-pods ps -f status=exited --format '{{.Names}}: {{.Status}}'", "what has ended, and how")],
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.listing import build_document, build_row, parse_filters, read_containers
    from pytest_pods.cli.output import DOUBTFUL, GOOD, print_lines
    from pytest_pods.cli.templates import print_listing

    filters = parse_filters(parsed.all("--filter"))
    every = parsed.flag("--all") or parsed.flag("--latest") or filters.needs_all
    seen = [one for one in read_containers(context) if (every or one.state.running) and filters.match(one)]
    seen.sort(key=lambda one: one.record.created, reverse=True)
    if parsed.flag("--latest"):
        seen = seen[:1]
    truncate = not parsed.flag("--no-trunc")
    if parsed.flag("--quiet"):
        print_lines(one.record.id[:12] if truncate else one.record.id for one in seen)
        return 0
    now = datetime.now(UTC)
    rows = [build_row(one, now, truncate=truncate) for one in seen]
    columns = {
        "ID": "CONTAINER ID",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "RunningFor": "CREATED",
        "Status": "STATUS",
        "Ports": "PORTS",
        "Names": "NAMES",
    }
    if parsed.flag("--pod"):
        columns |= {"Pod": "POD ID", "PodName": "PODNAME"}
    if any(one.kept for one in seen):
        columns["Session"] = "SESSION"
    colours = {row["Status"]: GOOD if one.state.running else DOUBTFUL for row, one in zip(rows, seen, strict=True)}
    return print_listing(
        parsed, columns, rows, documents=lambda: [build_document(one, now) for one in seen], colours=colours
    )
