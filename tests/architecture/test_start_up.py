"""What an import costs and says: each module stands alone, warns of nothing, and leaves heavy libraries for later."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.architecture.sources import PACKAGE, REPOSITORY, modules

HEAVY = (
    "requests", "urllib3", "pyroute2", "tenacity", "filelock", "asyncio", "rich", "backports.zstd", "coverage", "yaml",
)  # fmt: skip

# One interpreter that has imported nothing of ours forks a child for each module: a start of Python for each would take
# most of a minute. What it has imported of others, every child has for nothing.
IMPORT_EACH_ALONE = """
import json, os, sys, traceback
import contextlib, ctypes, dataclasses, datetime, enum, http.client, inspect, ipaddress, logging, pathlib, pytest, re
import secrets, shutil, socket, subprocess, tempfile, threading, typing, urllib.request, uuid
faults = {}
for name in json.load(sys.stdin):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            __import__(name)
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-3000:])
            status = 1
        os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read().decode()
    if os.waitpid(pid, 0)[1] != 0:
        faults[name] = said or "died"
json.dump(faults, sys.stdout)
"""


def build_environment() -> dict[str, str]:
    """Modules are compiled once: without their caches every child would compile all that it imports."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_python(code: str, *, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY, env=build_environment(), input=stdin, capture_output=True, text=True, check=False, timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("part", range(4))
def test_each_module_can_be_imported_alone_with_warnings_as_errors(part: int) -> None:
    names = [name for name in modules() if not name.endswith("__main__")][part::4]
    assert json.loads(run_python(IMPORT_EACH_ALONE, stdin=json.dumps(names))) == {}


@pytest.mark.parametrize("entry", ["pytest_pods", "pytest_pods.plugin", "pytest_pods.cli.main"])
def test_entry_imports_nothing_heavy(entry: str) -> None:
    if entry not in modules():
        pytest.fail(f"{entry} is missing in {PACKAGE.name}")
    # pytest itself brings some of what is looked for, and is there before the plugin is.
    code = (
        "import json, sys, pytest\nbefore = set(sys.modules)\n"
        f"import {entry}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    added = json.loads(run_python(code))
    assert [name for name in added if name in HEAVY] == []


def test_plugin_does_not_import_the_engine() -> None:
    code = "import json, sys, pytest_pods.plugin\nprint(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(run_python(code))
    assert [name for name in loaded if name.startswith("pytest_pods.engine.")] == []
