"""Images of a real registry: brought in, found, used, removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_pods.engine.errors import ImageNotFoundError, InUseError, InvalidInputError, RegistryUnreachableError
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.ids import new_container_id, new_session_id
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.records import ContainerRecord
from pytest_pods.engine.services.image import Image
from pytest_pods.engine.services.images import ImageService
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.state.sessions import SessionKind, SessionRecord, create_session
from tests.support.images import BuiltImage, ImageBuilder
from tests.support.registry import Registry
from tests.support.storage import Messages, Store

pytestmark = [pytest.mark.root, pytest.mark.registry]

BASE = ImageBuilder().layer({"base": os.urandom(50_000)})
IMAGE = BASE.layer({"one": "1"}).build()
SIBLING = BASE.layer({"two": "2"}).build()

Push = Callable[..., str]


@pytest.fixture
def service(store: Store) -> ImageService:
    return ImageService(store.layout, launcher=DirectLauncher)


@contextmanager
def container_of(image: Image, store: Store, service: ImageService) -> Iterator[None]:
    """A container of the image in a session that lives as long as the block."""
    record = SessionRecord(
        id=new_session_id(),
        kind=SessionKind.OWNED,
        created=0.0,
        owner_pid=os.getpid(),
        level=1,
        rootless=False,
        single_id=False,
        cgroup=None,
        cgroups=(),
    )
    layout, lock = create_session(store.layout, record)
    container = ContainerRecord(
        id=new_container_id(),
        name="user",
        session_id=layout.session_id,
        image="x",
        image_id=str(image.id),
        spec=ContainerSpec("x"),
        argv=("x",),
        stop_signal="SIGTERM",
        hostname="x",
        ip="",
        ports=(),
        created=0.0,
        layers=tuple(str(layer) for layer in image.layers),
    )

    def record_use() -> None:
        place = layout.container(container.id)
        place.directory.mkdir(parents=True)
        place.record_file.write_bytes(container.to_bytes())

    try:
        service.use(image, record_use=record_use)
        yield
    finally:
        shutil.rmtree(layout.directory)
        shutil.rmtree(layout.scratch_dir)
        os.close(lock)


def test_an_image_is_pulled_and_found_by_all_its_names(service: ImageService, push: Push) -> None:
    reference = push(IMAGE)
    image = service.pull(reference)
    assert image.id == IMAGE.image_id
    assert image.references == (reference,)
    assert (image.diff_dirs[1] / "one").read_text() == "1"
    name = Reference.parse(reference).name
    for text in (reference, image.short_id, image.id.hex, str(image.id), f"{name}@{IMAGE.digest}"):
        assert service.get(text).id == image.id
    assert service.find("nothing:1") is None
    assert service.find_damage() == []


def test_missing_asks_the_registry_once_only(service: ImageService, push: Push, registry: Registry) -> None:
    reference = push(IMAGE)
    assert service.ensure(reference).id == IMAGE.image_id
    before = len([line for line in registry.requests() if reference.partition("/")[2].partition(":")[0] in line])
    assert service.ensure(reference).id == IMAGE.image_id
    after = len([line for line in registry.requests() if reference.partition("/")[2].partition(":")[0] in line])
    assert after == before


def test_always_and_newer_see_a_moved_tag(service: ImageService, push: Push) -> None:
    reference = push(IMAGE)
    service.pull(reference)
    push(SIBLING)
    assert service.ensure(reference).id == IMAGE.image_id
    assert service.ensure(reference, policy=PullPolicy.NEWER).id == SIBLING.image_id
    push(IMAGE)
    assert service.ensure(reference, policy=PullPolicy.ALWAYS).id == IMAGE.image_id


def test_newer_falls_back_to_what_is_here(store: Store, free_port: int) -> None:
    messages = Messages()
    service = ImageService(store.layout, launcher=DirectLauncher, progress=messages)
    reference = f"127.0.0.1:{free_port}/app:1"
    archive = store.layout.root / "archive"
    service.load(IMAGE.write_oci_archive(archive, name=reference))
    assert service.ensure(reference, policy=PullPolicy.NEWER).id == IMAGE.image_id
    assert messages.texts
    with pytest.raises(RegistryUnreachableError):
        service.ensure(reference, policy=PullPolicy.ALWAYS)


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_never_does_not_ask(service: ImageService, push: Push) -> None:
    with pytest.raises(ImageNotFoundError, match="no image"):
        service.ensure(push(IMAGE), policy=PullPolicy.NEVER)


def test_a_lost_layer_is_mended_from_its_blob_without_the_registry(service: ImageService, push: Push) -> None:
    reference = push(IMAGE)
    image = service.pull(reference)
    shutil.rmtree(image.diff_dirs[0].parent)
    assert service.ensure(reference, policy=PullPolicy.NEVER).diff_dirs == image.diff_dirs
    assert service.find_damage() == []


def test_a_lost_layer_without_its_blob_is_pulled_again(service: ImageService, store: Store, push: Push) -> None:
    reference = push(IMAGE)
    image = service.pull(reference)
    shutil.rmtree(image.diff_dirs[1].parent)
    store.layout.blob(IMAGE.layers[1].descriptor.digest).write_bytes(b"damaged")
    assert service.find(reference) is None
    assert service.ensure(reference).diff_dirs == image.diff_dirs
    assert service.find_damage() == []


def test_removing_one_image_leaves_what_another_needs(service: ImageService, store: Store, push: Push) -> None:
    first, second = push(IMAGE, "1"), push(SIBLING, "2")
    service.pull(first)
    kept = service.pull(second)
    service.remove(first)
    assert service.find(first) is None
    assert sorted(store.layers.list()) == sorted(layer.hex for layer in kept.layers)
    assert not store.layout.blob(IMAGE.digest).exists()
    assert service.find_damage() == []
    service.remove(second)
    assert list(store.layers.list()) == []
    assert os.listdir(store.layout.blobs_dir / "sha256") == []


def test_a_second_name_keeps_the_image(service: ImageService, push: Push) -> None:
    first, second = push(IMAGE, "1"), push(IMAGE, "2")
    service.pull(first)
    service.pull(second)
    with pytest.raises(InUseError, match="several references"):
        service.remove(IMAGE.image_id.short)
    service.remove(first)
    assert service.get(second).references == (second,)
    service.remove(IMAGE.image_id.short)
    assert service.list() == []


def test_an_image_of_a_container_is_not_removed(service: ImageService, store: Store, push: Push) -> None:
    reference = push(IMAGE)
    image = service.pull(reference)
    with container_of(image, store, service):
        with pytest.raises(InUseError, match="used by the container user"):
            service.remove(reference)
        service.remove(reference, force=True)
        assert service.find(reference) is None
        assert all(path.is_dir() for path in image.diff_dirs)
    service.collect()
    assert list(store.layers.list()) == []


def test_a_removed_image_cannot_be_used(service: ImageService, push: Push) -> None:
    reference = push(IMAGE)
    image = service.pull(reference)
    service.remove(reference)
    with pytest.raises(ImageNotFoundError, match="is not in the store"):
        service.use(image, record_use=lambda: pytest.fail("recorded"))


def test_removing_what_is_not_there_is_named(service: ImageService) -> None:
    with pytest.raises(ImageNotFoundError, match="'nothing:1'"):
        service.remove("nothing:1")


def test_an_ambiguous_beginning_is_refused(service: ImageService, tmp_path: Path) -> None:
    images: dict[str, BuiltImage] = {}
    number = 0
    while True:
        image = ImageBuilder().config(Labels={"n": str(number)}).build()
        number += 1
        other = images.setdefault(image.image_id.hex[0], image)
        if other is not image:
            break
    for name, one in (("a", image), ("b", other)):
        service.load(one.write_oci_archive(tmp_path / name, name=f"{name}:1"))
    with pytest.raises(InvalidInputError, match="beginning of 2 image IDs"):
        service.get(f"sha256:{image.image_id.hex[0]}")


PULL = """
import sys
from pathlib import Path
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.services.images import ImageService
from pytest_pods.engine.state.layout import StoreLayout
print(ImageService(StoreLayout.below(Path(sys.argv[1])), launcher=DirectLauncher).pull(sys.argv[2]).id)
"""


def test_eight_processes_download_an_image_once(store: Store, push: Push, registry: Registry) -> None:
    reference = push(ImageBuilder().layer({"big": os.urandom(2_000_000)}).layer({"b": os.urandom(9)}).build())
    command = [sys.executable, "-c", PULL, str(store.layout.root), reference]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], text=True) for _ in range(8)
    ]
    outputs = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 8
    assert len(outputs) == 1
    repository = reference.partition("/")[2].partition(":")[0]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        blobs = [line for line in registry.requests() if line.startswith(f"GET /v2/{repository}/blobs/")]
        if len(blobs) >= 3:
            break
    assert len(blobs) == len(set(blobs)) == 3
    assert store.left_overs() == []
