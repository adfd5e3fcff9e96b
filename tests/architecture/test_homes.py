"""Each outside tool has one home in the package, so that it can be changed, limited or watched in one place."""

from __future__ import annotations

from typing import Final

import pytest

from tests.architecture.sources import imports, is_below, uses

E: Final = "pytest_pods.engine"

# Module → where it may be imported, also inside functions.
IMPORT_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "subprocess": (f"{E}.host",),
    "multiprocessing": (),
    "ctypes": (f"{E}.host", f"{E}.runtime.seccomp_filter"),
    "requests": (f"{E}.registry",),
    "urllib3": (f"{E}.registry",),
    "tenacity": (f"{E}.registry", f"{E}.services"),
    "filelock": (f"{E}.state",),
    "fcntl": (f"{E}.host", f"{E}.state", "pytest_pods.cli"),
    "pyroute2": (f"{E}.network",),
    "asyncio": (),
    "rich": ("pytest_pods.cli", "pytest_pods.report"),
    "argparse": ("pytest_pods.cli",),
    "tarfile": (f"{E}.storage", f"{E}.services.copying"),
    "pickle": (),
}

# Name → where it may be used.
USE_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "print": ("pytest_pods.cli", "pytest_pods.report"),
    # Besides the settings: where things lie (XDG directories, PATH, credential files), which other programs share.
    "os.environ": (
        "pytest_pods.settings",
        "pytest_pods.cli",
        f"{E}.state.layout",
        f"{E}.host.programs",
        f"{E}.registry.credentials",
    ),
    "os.getenv": (),
    "os.system": (),
    "os.popen": (),
    "os.fork": (f"{E}.host",),
    "os.posix_spawn": (f"{E}.host",),
    "os.execve": (f"{E}.host",),
    "os.execv": (f"{E}.host",),
    "sys.exit": ("pytest_pods.cli",),
    # Programs that end here, after all that has to be done at an end: never a library's part.
    "os._exit": ("pytest_pods.cli.main", f"{E}.host", f"{E}.storage.unpack.program"),
    "eval": (),
    "exec": (),
}


@pytest.mark.parametrize("tool", sorted(IMPORT_HOMES))
def test_tool_is_imported_at_home_only(tool: str) -> None:
    homes = IMPORT_HOMES[tool]
    assert [
        str(found)
        for found in imports()
        if is_below(found.target, tool)
        and not found.type_only
        and not any(is_below(found.importer, home) for home in homes)
    ] == []


@pytest.mark.parametrize("name", sorted(USE_HOMES))
def test_name_is_used_at_home_only(name: str) -> None:
    homes = USE_HOMES[name]
    assert [
        str(use) for use in uses() if use.name == name and not any(is_below(use.module, home) for home in homes)
    ] == []
