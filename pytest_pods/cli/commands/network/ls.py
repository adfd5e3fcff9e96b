"""`network ls`: lists networks of the command line and of kept sessions."""

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
        Option("--no-trunc", help="whole IDs"),
        Option("-f", "--filter", value="KEY=VALUE", repeats=True,
               help="only those with this name, id, driver, label, internal=true|false, dangling=true|false"),
        Option("--format", value="FORMAT", help="json, a template such as '{{.Name}} {{.Subnets}}', or 'table …'"),
    ),
    text="""
A template may have .ID .Name .Driver .Subnets .Internal .IPv6 .Labels .Containers .CreatedAt .CreatedSince .Session;
json is an array of documents as `network inspect`.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.network_views import build_network_row, matches, parse_network_filters, read_networks
    from pytest_pods.cli.output import print_lines
    from pytest_pods.cli.templates import print_listing

    filters = parse_network_filters(parsed.all("--filter"))
    documents = [document for document in read_networks(context) if matches(document, filters)]
    if parsed.flag("--quiet"):
        print_lines(document["name"] for document in documents)
        return 0
    now, truncate = datetime.now(UTC), not parsed.flag("--no-trunc")
    rows = [build_network_row(document, now, truncate=truncate) for document in documents]
    columns = {"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Subnets": "SUBNETS"}
    if any(document["session"] for document in documents):
        columns["Session"] = "SESSION"
    return print_listing(parsed, columns, rows, documents=lambda: documents)
