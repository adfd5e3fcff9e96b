"""How test images are made: what is read from package lists, and where files of packages go."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.images.layers import LayerWriter, base_entries, merged
from tests.images.packages import parse_dependencies


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("libc6", (("libc6",),), id="one"),
        pytest.param("libc6 (>= 2.34), zlib1g", (("libc6",), ("zlib1g",)), id="with a version"),
        pytest.param("locales | locales-all", (("locales", "locales-all"),), id="a choice"),
        pytest.param("python3:any", (("python3",),), id="with an architecture"),
        pytest.param("libfoo [amd64]", (("libfoo",),), id="for an architecture"),
        pytest.param("", (), id="none"),
    ],
)
def test_dependencies_are_read(line: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert parse_dependencies(line) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("./bin/sh", "usr/bin/sh"), ("./lib", "usr/lib"), ("usr/bin/env", "usr/bin/env"), ("./library/x", "library/x")],
)
def test_files_go_where_a_merged_system_has_them(name: str, expected: str) -> None:
    assert merged(name) == expected


def package(directory: Path, files: dict[str, str]) -> Path:
    root = directory / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: small\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: small\n"
    )
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, directory], check=True, capture_output=True)
    return directory / "small_1_all.deb"


def test_layer_has_the_package_without_its_documentation_and_our_links(tmp_path: Path) -> None:
    deb = package(tmp_path, {"bin/tool": "tool", "usr/share/doc/small/README": "long", "lib/data": "data"})
    writer = LayerWriter()
    writer.add(base_entries())
    writer.add_package(deb)
    with tarfile.open(fileobj=io.BytesIO(writer.build())) as archive:
        names = archive.getnames()
        assert archive.getmember("bin").linkname == "usr/bin"
    assert {"usr/bin/tool", "usr/lib/data"} <= set(names)
    assert not any("README" in name for name in names)


def test_same_package_gives_the_same_layer(tmp_path: Path) -> None:
    deb = package(tmp_path, {"usr/bin/tool": "tool"})
    layers = []
    for _ in range(2):
        writer = LayerWriter()
        writer.add_package(deb)
        layers.append(writer.build())
    assert layers[0] == layers[1]
