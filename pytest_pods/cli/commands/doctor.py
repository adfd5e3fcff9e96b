"""`doctor`: what this machine can do, at which level, and what to install or change otherwise."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.services.doctor import Diagnosis, Health

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-f", "--format", value="FORMAT", help="json, or a template such as '{{.Level}}'")),
    text="""
Tries everything out, as the user who asks, and leaves nothing behind. The exit code is 0 if containers can run here,
also if something works with limits only, and 1 if they cannot.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.engine.services.doctor import build_diagnosis
    from pytest_pods.engine.services.machine import read_machine
    from pytest_pods.engine.state.layout import build_store_layout

    diagnosis = build_diagnosis(read_machine(build_store_layout(context.settings.root)))
    if (format := parsed.find("--format")) is not None:
        from pytest_pods.cli.templates import print_formatted

        print_formatted(format, _build_document(diagnosis))
    else:
        _print(diagnosis)
    return 0 if diagnosis.able else 1


def _print(diagnosis: Diagnosis) -> None:
    from pytest_pods.cli.output import BAD, DOUBTFUL, GOOD, print_line, print_lines, print_table

    words = _words()
    print_table(
        ("SUBJECT", "STATE", "FOUND"),
        [(finding.subject, words[finding.health], finding.found) for finding in diagnosis.findings],
        colours=dict(zip(words.values(), (GOOD, DOUBTFUL, BAD), strict=True)),
    )
    for finding in diagnosis.findings:
        if finding.means or finding.cure:
            print_line()
            print_lines(
                [f"{finding.subject}: {finding.found}"]
                + ([f"  so: {finding.means}"] if finding.means else [])
                + ([f"  do: {finding.cure}"] if finding.cure else [])
            )
    print_line()
    who = "rootless" if diagnosis.rootless else "as root"
    if diagnosis.able:
        print_line(f"Containers can run here, {who}, in sandboxes of level {diagnosis.level}.")
    else:
        print_line(f"Containers cannot run here {who}: what is missing stands above.")


def _words() -> dict[Health, str]:
    from pytest_pods.engine.services.doctor import Health

    return {Health.GOOD: "ok", Health.LIMITED: "limited", Health.MISSING: "MISSING"}


def _build_document(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "Able": diagnosis.able,
        "Level": diagnosis.level,
        "Rootless": diagnosis.rootless,
        "Findings": [
            {
                "Subject": finding.subject,
                "Health": finding.health.value,
                "Found": finding.found,
                "Means": finding.means,
                "Cure": finding.cure,
            }
            for finding in diagnosis.findings
        ],
    }
