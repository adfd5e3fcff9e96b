"""`version`: what this is; starts nothing and looks at nothing."""

from __future__ import annotations

import sys

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-f", "--format", value="FORMAT", help="json, or a template such as {{.Version}}")),
    text="`pytest-pods doctor` also tells the versions of the programs that containers need.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.version import VERSION

    format = parsed.find("--format")
    if format is None:
        print(f"pytest-pods {VERSION}")
        return 0
    from pytest_pods.cli.templates import print_formatted

    python = ".".join(str(number) for number in sys.version_info[:3])
    print_formatted(format, {"Version": VERSION, "PythonVersion": python, "Os": sys.platform})
    return 0
