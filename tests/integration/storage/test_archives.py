"""Archives into the store: both forms, every compression, nothing in them trusted."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_pods.engine.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    NotFoundError,
    UnsafeEntryError,
)
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.oci.manifest import Compression
from pytest_pods.engine.oci.platforms import host_platform
from pytest_pods.engine.services.images import ImageService
from tests.support.images import BuiltImage, Entry, ImageBuilder, build_index, build_tar, symlink
from tests.support.storage import Store

pytestmark = pytest.mark.root

IMAGE = ImageBuilder(kind="docker").layer({"a": "1"}).layer({"b": "2", ".wh.a": ""}).config(Cmd=["cat", "/b"]).build()
OCI = ImageBuilder().layer({"a": "1"}, compression="zstd").layer({"b": "2"}).build()


@pytest.fixture
def service(store: Store) -> ImageService:
    return ImageService(store.layout, launcher=DirectLauncher)


def docker_files(image: BuiltImage, **changes: object) -> dict[str, Entry | bytes | str]:
    """The members of a docker-archive with gzipped layers."""
    layers = {f"{number}.tar": layer.blob for number, layer in enumerate(image.layers)}
    item = {"Config": "config.json", "RepoTags": ["app:1"], "Layers": list(layers), **changes}
    return {**layers, "config.json": image.config, "manifest.json": json.dumps([item])}


def write(path: Path, files: Mapping[str, Entry | bytes | str]) -> Path:
    path.write_bytes(build_tar(files))
    return path


@pytest.mark.parametrize("compression", ["plain", "gzip", "zstd"])
def test_docker_archive_is_loaded(service: ImageService, tmp_path: Path, compression: Compression) -> None:
    path = IMAGE.write_docker_archive(tmp_path / "image", names=["app:1", "team/app:2"], compression=compression)
    (image,) = service.load(path)
    assert image.references == ("docker.io/library/app:1", "docker.io/team/app:2")
    assert image.id == IMAGE.image_id
    assert image.config.command == ("cat", "/b")
    assert (image.diff_dirs[1] / "b").read_text() == "2"
    assert service.get("app:1").id == service.get("docker.io/team/app:2").id == image.id
    assert service.find_damage() == []


@pytest.mark.parametrize("compression", ["plain", "gzip", "zstd"])
def test_oci_archive_is_loaded(service: ImageService, tmp_path: Path, compression: Compression) -> None:
    path = OCI.write_oci_archive(tmp_path / "image", name="quay.io/team/app:3", compression=compression)
    (image,) = service.load(path)
    assert image.references == ("quay.io/team/app:3",)
    assert (image.id, image.manifest.digest) == (OCI.image_id, OCI.digest)
    assert service.find_damage() == []


def test_an_oci_archive_without_a_name_is_found_by_id(service: ImageService, tmp_path: Path) -> None:
    (image,) = service.load(OCI.write_oci_archive(tmp_path / "image", name="latest"))
    assert image.references == ()
    assert service.get(image.short_id).id == image.id
    assert service.get(str(image.id)).id == image.id


def test_of_an_index_this_machines_image_is_taken(service: ImageService, tmp_path: Path) -> None:
    other = ImageBuilder(platform="linux/s390x").layer({"other": ""}).build()
    (image,) = service.load(build_index([other, OCI]).write_oci_archive(tmp_path / "image", name="app:1"))
    assert image.id == OCI.image_id
    assert image.config.platform == host_platform()


def test_gzipped_layers_inside_are_read(service: ImageService, tmp_path: Path) -> None:
    (image,) = service.load(write(tmp_path / "image", docker_files(IMAGE)))
    assert image.id == IMAGE.image_id


def test_a_layer_that_is_a_link_to_another_is_read(service: ImageService, tmp_path: Path) -> None:
    twice = IMAGE.layers[0]
    image = ImageBuilder(kind="docker").add(twice, twice).build()
    files = docker_files(image, Layers=["x/layer.tar", "y/layer.tar"])
    files |= {"x/layer.tar": twice.blob, "y/layer.tar": symlink("../x/layer.tar")}
    (loaded,) = service.load(write(tmp_path / "image", files))
    assert len(loaded.layers) == 2


def test_loading_again_changes_nothing(service: ImageService, tmp_path: Path) -> None:
    path = IMAGE.write_docker_archive(tmp_path / "image", names=["app:1"])
    assert [image.id for image in service.load(path)] == [image.id for image in service.load(path)]
    assert [image.references for image in service.list()] == [("docker.io/library/app:1",)]


def test_a_name_moves_to_the_new_image_and_the_old_one_stays_without(service: ImageService, tmp_path: Path) -> None:
    newer = ImageBuilder(kind="docker").layer({"new": ""}).build()
    service.load(IMAGE.write_docker_archive(tmp_path / "old", names=["app:1"]))
    service.load(newer.write_docker_archive(tmp_path / "new", names=["app:1"]))
    assert service.get("app:1").id == newer.image_id
    assert service.get(str(IMAGE.image_id)).references == ()


BROKEN: dict[str, tuple[Mapping[str, Entry | bytes | str], str]] = {
    "neither form": ({"a": b"1"}, "neither a docker-archive nor an oci-archive"),
    "listing is not JSON": ({"manifest.json": "{"}, "not JSON"),
    "listing is no list": ({"manifest.json": "{}"}, "not a list of objects"),
    "no image": ({"manifest.json": "[]"}, "no image in it"),
    "no config": (docker_files(IMAGE, Config=None), "no proper 'Config'"),
    "config outside": (docker_files(IMAGE, Config="../../etc/passwd"), "has no '../../etc/passwd'"),
    "layer outside": (docker_files(IMAGE, Layers=["/etc/passwd", "1.tar"]), "has no '/etc/passwd'"),
    "layers that are numbers": (docker_files(IMAGE, Layers=[1, 2]), "no proper 'Layers'"),
    "too few layers": (docker_files(IMAGE, Layers=["0.tar"]), "1 layers, its config 2"),
    "bad name": (docker_files(IMAGE, RepoTags=["UPPER:case"]), "names an image 'UPPER:case'"),
    "layer is a link out": (
        {**docker_files(IMAGE, Layers=["0.tar", "link"]), "link": symlink("/etc/passwd")},
        "has no 'link'",
    ),
    "layer is a link to itself": (
        {**docker_files(IMAGE, Layers=["0.tar", "link"]), "link": symlink("link")},
        "has no 'link'",
    ),
    "index is no index": ({"index.json": OCI.manifest}, "is not an index|media type"),
    "index leads nowhere": (
        {"index.json": build_index([OCI]).content},
        "has no 'blobs/sha256/",
    ),
}


@pytest.mark.parametrize(("files", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_named(
    service: ImageService, store: Store, tmp_path: Path, files: Mapping[str, Entry | bytes | str], reason: str
) -> None:
    path = write(tmp_path / "image", files)
    with pytest.raises(InvalidDocumentError, match=reason) as caught:
        service.load(path)
    assert str(path) in caught.value.brief
    assert service.list() == []
    assert store.left_overs() == []


@pytest.mark.parametrize("content", [b"", b"text", bytes(5000), b"\x1f\x8bdamaged", b"\x28\xb5\x2f\xfd damaged"])
def test_what_is_no_archive_is_refused(service: ImageService, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(InvalidDocumentError, match=str(path)):
        service.load(path)


def test_a_cut_archive_is_refused(service: ImageService, tmp_path: Path) -> None:
    path = IMAGE.write_docker_archive(tmp_path / "image", names=["app:1"], compression="gzip")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidDocumentError, match="incomplete"):
        service.load(path)


def test_a_missing_file_and_a_directory_are_named(service: ImageService, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        service.load(tmp_path / "nothing")
    with pytest.raises(InvalidDocumentError, match="is not a file"):
        service.load(tmp_path)


def test_a_wrong_diff_id_is_refused_and_no_record_is_made(service: ImageService, store: Store, tmp_path: Path) -> None:
    lying = ImageBuilder(kind="docker").add(*IMAGE.layers).build(diff_ids=[IMAGE.layers[1].diff_id] * 2)
    with pytest.raises(DigestMismatchError, match="as the image config says"):
        service.load(write(tmp_path / "image", docker_files(lying)))
    assert service.list() == []
    assert store.left_overs() == []


def test_a_wrong_blob_digest_is_refused(service: ImageService, tmp_path: Path) -> None:
    path = OCI.write_oci_archive(tmp_path / "image", name="app:1")
    content = path.read_bytes()
    position = content.index(OCI.layers[0].blob)
    path.write_bytes(content[: position + 30] + bytes([content[position + 30] ^ 1]) + content[position + 31 :])
    with pytest.raises((DigestMismatchError, InvalidDocumentError)):
        service.load(path)
    assert service.list() == []


def test_a_hostile_layer_is_refused_and_no_record_is_made(service: ImageService, store: Store, tmp_path: Path) -> None:
    hostile = ImageBuilder(kind="docker").layer({"../../canary": b"x"}).build()
    with pytest.raises(UnsafeEntryError):
        service.load(hostile.write_docker_archive(tmp_path / "image", names=["app:1"]))
    assert service.list() == []
    assert store.left_overs() == []


def test_an_archive_whose_members_are_named_after_paths_of_ours_writes_nothing(
    service: ImageService, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.write_text("alive")
    files = docker_files(IMAGE)
    files |= {"../canary": b"dead", str(canary): b"dead", "../../version": b"9"}
    service.load(write(tmp_path / "image", files))
    assert canary.read_text() == "alive"


def test_what_docker_writes_now_is_read_with_its_names(service: ImageService, tmp_path: Path) -> None:
    """Both an OCI layout and manifest.json, layers as blobs."""
    OCI.write_oci_archive(tmp_path / "oci", name="latest")
    with tarfile.open(tmp_path / "oci") as archive:
        members = {m.name: archive.extractfile(m) for m in archive if m.isreg()}
        files: dict[str, Entry | bytes | str] = {name: (f or io.BytesIO()).read() for name, f in members.items()}
    listing = {
        "Config": f"blobs/sha256/{OCI.image_id.hex}",
        "RepoTags": ["app:5"],
        "Layers": [f"blobs/sha256/{layer.descriptor.digest.hex}" for layer in OCI.layers],
    }
    (image,) = service.load(write(tmp_path / "image", {**files, "manifest.json": json.dumps([listing])}))
    assert (image.id, image.references) == (OCI.image_id, ("docker.io/library/app:5",))


