"""`info`: where everything is and how much there is of it."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-f", "--format", value="FORMAT", help="json, or a template like '{{.Store.Root}}'")),
    text="Looks at files only. `pytest-pods doctor` tries out what the machine can do.",
)


def run(parsed: Parsed, context: Context) -> int:
    import os

    from pytest_pods.cli.listing import read_containers
    from pytest_pods.cli.output import print_lines
    from pytest_pods.cli.version import VERSION

    engine = context.open_for_images()
    seen = read_containers(context)
    states = [one.state.status for one in seen]
    images = engine.images()
    layers = {layer: None for image in images for layer in image.layers}
    document = {
        "Version": VERSION,
        "Kernel": os.uname().release,
        "Architecture": os.uname().machine,
        "Rootless": os.geteuid() != 0,
        "Store": {
            "Root": str(engine.store.root),
            "RunRoot": str(engine.store.run_root),
            "Images": len(images),
            "Layers": len(layers),
        },
        "Containers": {"Total": len(states), **{name: states.count(name) for name in ("running", "paused", "exited")}},
        "Sessions": [{"Id": record.id, "Kind": record.kind.value} for record in context.live_sessions()],
    }
    if (format := parsed.find("--format")) is not None:
        from pytest_pods.cli.templates import print_formatted

        print_formatted(format, document)
        return 0
    print_lines(_build_lines(document))
    return 0


def _build_lines(document: object, indent: str = "") -> list[str]:
    if isinstance(document, dict):
        lines = []
        for name, value in document.items():
            if isinstance(value, dict | list):
                below = _build_lines(value, indent + "  ")
                lines += [f"{indent}{name}:" + ("" if below else " none"), *below]
            else:
                lines.append(f"{indent}{name}: {str(value).lower() if isinstance(value, bool) else value}")
        return lines
    if isinstance(document, list):
        return [f"{indent}- {', '.join(str(value) for value in entry.values())}" for entry in document]
    return [f"{indent}{document}"]
