"""Imports point down, and subsystems of one level are blind to each other (docs/design)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import Import, imports, imports_of, is_below, modules

ENGINE = "pytest_pods.engine"

# Lowest first. What is named together is one level; a module belongs to the longest name that fits.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("pytest_pods.engine.errors", "pytest_pods.frozen"),
    (
        "pytest_pods.engine.ids",
        "pytest_pods.engine.deadline",
        "pytest_pods.engine.events",
        "pytest_pods.engine.extensions",
        "pytest_pods.engine.specs",
        "pytest_pods.engine.records",
        "pytest_pods.engine.network_records",
        "pytest_pods.engine.pod_records",
        "pytest_pods.engine.stats",
        "pytest_pods.engine.waiting",
        "pytest_pods.engine.health",
        "pytest_pods.engine.probing",
        "pytest_pods.engine.oci",
    ),
    ("pytest_pods.engine.kube",),
    ("pytest_pods.engine.host", "pytest_pods._native"),
    ("pytest_pods.engine.state",),
    (
        "pytest_pods.engine.registry",
        "pytest_pods.engine.storage",
        "pytest_pods.engine.network",
        "pytest_pods.engine.runtime",
    ),
    ("pytest_pods.engine.build",),
    (
        "pytest_pods.engine.services",
        "pytest_pods.engine.container",
        "pytest_pods.engine.network_handle",
        "pytest_pods.engine.volume",
        "pytest_pods.engine.pod",
    ),
    ("pytest_pods.engine.api",),
    ("pytest_pods.settings", "pytest_pods.waits", "pytest_pods.hookspecs"),
    ("pytest_pods.markers", "pytest_pods.report", "pytest_pods.cli"),
    ("pytest_pods.fixtures",),
    ("pytest_pods.plugin",),
)

# Modules of one level that may not know each other.
SIBLINGS: tuple[str, ...] = LEVELS[5]

# Marker packages have nothing in them; the top one gives public names from everywhere, when they are asked for.
UNPLACED = frozenset({"pytest_pods", "pytest_pods.engine", "pytest_pods.__main__"})


def level_of(module: str) -> int | None:
    fits = [
        (len(name), level) for level, names in enumerate(LEVELS) for name in names if is_below(module, name)
    ]
    return max(fits)[1] if fits else None


def ours(found: Import) -> bool:
    return is_below(found.target, "pytest_pods") and found.target not in UNPLACED and found.importer not in UNPLACED


def test_every_module_has_a_level() -> None:
    assert [name for name in modules() if name not in UNPLACED and level_of(name) is None] == []


def points_up(found: Import) -> bool:
    importer, target = level_of(found.importer), level_of(found.target)
    return importer is not None and target is not None and target > importer


def test_imports_point_down() -> None:
    # A protocol may name, for the type checker alone, what it will be given.
    assert [str(found) for found in imports() if ours(found) and not found.type_only and points_up(found)] == []


def crosses(found: Import) -> bool:
    return any(
        is_below(found.importer, one) and is_below(found.target, other)
        for one in SIBLINGS
        for other in SIBLINGS
        if one != other
    )


def test_subsystems_do_not_know_each_other_not_even_their_types() -> None:
    assert [str(found) for found in imports() if crosses(found)] == []


def test_engine_runs_without_pytest() -> None:
    assert [
        str(found)
        for found in imports()
        if is_below(found.importer, ENGINE) and found.target.split(".")[0] in {"pytest", "_pytest", "pluggy", "xdist"}
    ] == []


def test_command_line_does_not_import_the_plugin_side() -> None:
    plugin_side = ("pytest_pods.plugin", "pytest_pods.fixtures", "pytest_pods.markers", "pytest_pods.hookspecs")
    assert [
        str(found)
        for found in imports()
        if is_below(found.importer, "pytest_pods.cli") and any(is_below(found.target, name) for name in plugin_side)
    ] == []


def test_top_package_is_not_imported_from_inside() -> None:
    assert [str(found) for found in imports() if found.target == "pytest_pods" and found.importer not in UNPLACED] == []


def test_marker_packages_hold_a_docstring_only() -> None:
    full = []
    for name, path in modules().items():
        if path.name == "__init__.py" and name != "pytest_pods":
            body = ast.parse(path.read_text("utf-8")).body
            if any(not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant) for node in body):
                full.append(name)
    assert full == []


@pytest.mark.parametrize(
    ("source", "type_only"),
    [
        pytest.param("from pytest_pods.engine import api", False, id="module level"),
        pytest.param("def f():\n    import pytest_pods.engine.api", False, id="inside a function"),
        pytest.param("if TYPE_CHECKING:\n    from pytest_pods.engine.api import Engine", True, id="for types"),
        pytest.param("from ..api import Engine", False, id="relative"),
    ],
)
def test_reader_sees_an_import_that_points_up(tmp_path: Path, source: str, type_only: bool) -> None:
    file = tmp_path / "blobs.py"
    file.write_text(source)
    (found,) = imports_of("pytest_pods.engine.storage.blobs", file)
    assert is_below(found.target, "pytest_pods.engine.api") or found.target == "pytest_pods.engine"
    assert found.type_only is type_only


def test_rules_catch_what_they_forbid() -> None:
    upward = Import("pytest_pods.engine.storage.blobs", "pytest_pods.engine.services.images", 1, False)
    sideways = Import("pytest_pods.engine.storage.blobs", "pytest_pods.engine.registry.client", 1, True)
    assert points_up(upward)
    assert crosses(sideways)
