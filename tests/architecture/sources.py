"""Reads the package's sources without running them: which modules there are, and what each of them imports and uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "pytest_pods"


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module; `type_only` where it stands under `if TYPE_CHECKING`."""

    importer: str
    target: str
    line: int
    type_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


@dataclass(frozen=True, slots=True)
class Use:
    """A dotted name that a module reads or calls, such as `os.environ` or `print`."""

    module: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} uses {self.name}"


@cache
def modules() -> dict[str, Path]:
    """Dotted name → file, of every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module, those inside functions too."""
    return tuple(found for name, path in modules().items() for found in imports_of(name, path))


def imports_of(name: str, path: Path) -> Iterator[Import]:
    """The imports of one file, which is the module `name`."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    yield from _walk(_tree(path), name, package, type_only=False)


def _walk(node: ast.AST, name: str, package: str, *, type_only: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(name, alias.name, node.lineno, type_only)
    elif isinstance(node, ast.ImportFrom):
        yield from _from(node, name, package, type_only=type_only)
    elif isinstance(node, ast.If) and _names_type_checking(node.test):
        for statement in node.body:
            yield from _walk(statement, name, package, type_only=True)
        for statement in node.orelse:
            yield from _walk(statement, name, package, type_only=type_only)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, name, package, type_only=type_only)


def _from(node: ast.ImportFrom, name: str, package: str, *, type_only: bool) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        # `from package import module` imports the module, `from module import name` only the module in front.
        yield Import(name, whole if whole in modules() else base, node.lineno, type_only)


def _names_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@cache
def uses() -> tuple[Use, ...]:
    """Every plain or dotted name that the modules mention: `print`, `os.environ`, `time.sleep`."""
    found = []
    for name, path in modules().items():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found.append(Use(name, node.id, node.lineno))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.append(Use(name, f"{node.value.id}.{node.attr}", node.lineno))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.extend(Use(name, f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
    return tuple(found)


def is_below(module: str, prefix: str) -> bool:
    """True if `module` is `prefix` or inside it."""
    return module == prefix or module.startswith(prefix + ".")
