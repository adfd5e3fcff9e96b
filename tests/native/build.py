"""Compiles the helper for the tests: as it is delivered, and with the sanitizers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

SOURCES = Path(__file__).parents[2] / "native"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")
FLAGS = {
    "plain": ("-O2", "-static"),
    "sanitized": ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover"),
}


def compile_with(compiler: Sequence[str], flags: Sequence[str], directory: Path) -> Path:
    """Builds the program from all sources, file by file and two at a time; raises CalledProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "nsenter_helper"

    def compile_one(source: Path) -> str:
        target = directory / f"{source.stem}.o"
        argv = [*compiler, *WARNINGS, *flags, "-c", "-o", str(target), str(source)]
        subprocess.run(argv, check=True, capture_output=True, text=True)
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, sorted(SOURCES.glob("*.c"))))
    linked = [flag for flag in flags if not flag.startswith("-W")]
    subprocess.run([*compiler, *linked, "-o", str(program), *objects], check=True, capture_output=True, text=True)
    return program


def build(kind: str, directory: Path) -> Path:
    """The program of this kind, built once for all workers of a test run."""
    with FileLock(directory / f".{kind}.lock"):
        program = directory / kind / "nsenter_helper"
        if not program.exists():
            compile_with(["cc"], FLAGS[kind], directory / kind)
    return program
