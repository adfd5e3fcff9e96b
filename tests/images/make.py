"""Makes the images of the recipes, keeps their layers in a cache, and gives them as `BuiltImage`.

    postgres = make_image(POSTGRES)
    postgres.push(client, "localhost:5000/demo/postgres:1")

Several processes may ask for the same image at once: one makes it, the others wait.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import OCI_LAYER
from tests.images import layers, packages
from tests.images.recipes import BASE_PACKAGES, WITHOUT, Recipe
from tests.support.images import BuiltImage, Entry, ImageBuilder, Layer

REPOSITORY = Path(__file__).parents[2]
Say = Callable[[str], None]


def default_cache() -> Path:
    """Inside the checkout, not under version control; `make clean` removes it."""
    return Path(os.environ.get("PYTEST_PODS_TEST_CACHE") or REPOSITORY / ".cache") / "images"


def _quiet(text: str) -> None:
    pass


def make_image(recipe: Recipe, *, cache: Path | None = None, say: Say = _quiet) -> BuiltImage:
    """The image of `recipe`. Raises packages.AptError if packages cannot be had."""
    cache = cache or default_cache()
    kitchen = _Kitchen(cache, say)
    base = kitchen.base()
    top = kitchen.program(recipe)
    own = layers.LayerWriter()
    own.add(recipe.files)
    builder = ImageBuilder().add(base.layer(), top.layer(), _build_layer(own.build()))
    return builder.config(**_filled(recipe.config, top.facts)).build()


def _filled(config: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    text = json.dumps(dict(config))
    for name, value in facts.items():
        text = text.replace(f"@{name}@", value)
    filled: dict[str, Any] = json.loads(text)
    return filled


def _build_layer(tar: bytes) -> Layer:
    blob = layers.compressed(tar)
    descriptor = Descriptor(f"{OCI_LAYER}+gzip", Digest.of_bytes(blob), len(blob))
    return Layer(blob, Digest.of_bytes(tar), descriptor)


@dataclass(frozen=True, slots=True)
class _Cached:
    """A layer in the cache: the blob and what is known of it."""

    directory: Path

    @property
    def complete(self) -> bool:
        return (self.directory / "complete").exists()

    @property
    def facts(self) -> dict[str, str]:
        facts: dict[str, str] = json.loads((self.directory / "facts.json").read_text())
        return facts

    def layer(self) -> Layer:
        blob = (self.directory / "layer.tar.gz").read_bytes()
        descriptor = Descriptor(f"{OCI_LAYER}+gzip", Digest.of_bytes(blob), len(blob))
        return Layer(blob, Digest.parse(self.facts["diff-id"]), descriptor)


class _Kitchen:
    def __init__(self, cache: Path, say: Say) -> None:
        self._cache = cache
        self._say = say

    def base(self) -> _Cached:
        """The layer that all images share."""
        return self._cached("base", {"packages": BASE_PACKAGES}, self._make_base)

    def program(self, recipe: Recipe) -> _Cached:
        """The layer with what `recipe` needs beyond the base."""
        key = {"packages": recipe.packages, "unwanted": recipe.unwanted, "compile": recipe.compile_python}
        return self._cached(recipe.name, key, lambda: self._make_program(recipe))

    def _cached(self, name: str, key: Mapping[str, Any], make: Callable[[], tuple[bytes, dict[str, str]]]) -> _Cached:
        sources = [Path(file).read_bytes() for file in (layers.__file__, packages.__file__, __file__)]
        text = json.dumps([key, WITHOUT, BASE_PACKAGES, _release(), platform.machine()], sort_keys=True).encode()
        digest = hashlib.sha256(b"\0".join([text, *sources])).hexdigest()[:16]
        cached = _Cached(self._cache / f"{name}-{digest}")
        if cached.complete:
            return cached
        with _lock(self._cache / f"{name}.lock"):
            if not cached.complete:
                self._say(f"making the layer {name} from Debian packages")
                tar, facts = make()
                self._keep(cached, tar, facts)
        return cached

    def _keep(self, cached: _Cached, tar: bytes, facts: dict[str, str]) -> None:
        cached.directory.mkdir(parents=True, exist_ok=True)
        (cached.directory / "layer.tar.gz").write_bytes(layers.compressed(tar))
        (cached.directory / "facts.json").write_text(json.dumps({**facts, "diff-id": str(Digest.of_bytes(tar))}))
        (cached.directory / "complete").touch()

    def _make_base(self) -> tuple[bytes, dict[str, str]]:
        writer = layers.LayerWriter()
        writer.add(layers.base_entries())
        self._add_packages(writer, packages.resolve(BASE_PACKAGES, without=WITHOUT))
        return writer.build(), {}

    def _make_program(self, recipe: Recipe) -> tuple[bytes, dict[str, str]]:
        in_base = {package.name for package in packages.resolve(BASE_PACKAGES, without=WITHOUT)}
        wanted = [
            package for package in packages.resolve(recipe.packages, without=WITHOUT) if package.name not in in_base
        ]
        writer = layers.LayerWriter(unwanted=recipe.unwanted)
        self._add_packages(writer, wanted)
        if recipe.compile_python:
            writer.add(_compile_python(dict(writer.python_sources())))
        facts = {}
        if version := next((m[1] for p in wanted if (m := re.fullmatch(r"postgresql-(\d+)", p.name))), None):
            facts["postgres-bin"] = f"/usr/lib/postgresql/{version}/bin"
        return writer.build(), facts

    def _add_packages(self, writer: layers.LayerWriter, wanted: Sequence[packages.Package]) -> None:
        with _lock(self._cache / "packages.lock"):
            files = packages.download(wanted, into=self._cache / "packages")
        for file in files:
            writer.add_package(file)


def _compile_python(sources: Mapping[str, bytes]) -> dict[str, Entry]:
    """What the package's installation script would compile; the release's own Python has the same version."""
    python = Path("/usr/bin/python3")
    if not python.exists():
        return {}
    compiled = {}
    with tempfile.TemporaryDirectory() as place:
        for name, content in sources.items():
            file = Path(place, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        command = [str(python), "-m", "compileall", "-q", "-j2", "--invalidation-mode", "unchecked-hash", "-s", place]
        # Files of its own test suite are meant not to compile; they stay sources.
        subprocess.run([*command, place], check=False, capture_output=True)
        for file in sorted(Path(place).rglob("*.pyc")):
            name = str(file.relative_to(place))
            compiled[str(Path(name).parent)] = Entry(tarfile.DIRTYPE, mode=0o755)
            compiled[name] = Entry(content=file.read_bytes())
    return compiled


def _release() -> str:
    return Path("/etc/os-release").read_text()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
