"""Images come from a real registry into a store, wholly or not at all, and nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pods.engine.errors import (
    ContentError,
    DigestMismatchError,
    ImageNotFoundError,
    InvalidDocumentError,
    RegistryError,
    RegistryUnreachableError,
    SizeMismatchError,
)
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.oci.manifest import OCI_INDEX, Compression, Index, build_index_document
from pytest_pods.engine.oci.platforms import host_platform, parse_platform
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.registry.client import RegistryClient
from pytest_pods.engine.registry.retrying import RetryPolicy
from pytest_pods.engine.services.pulling import ImagePuller, PulledImage
from pytest_pods.engine.specs.container import PullPolicy
from pytest_pods.engine.state.layout import StoreLayout
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.engine.storage.images import ImageStore
from pytest_pods.engine.storage.layers import LayerStore
from tests.support.faulty_proxy import Answer, Change, CutAfter, FaultyProxy
from tests.support.images import BuiltImage, ImageBuilder, Kind, build_index, build_layer, busybox_image
from tests.support.registry import Registry

# Layers are unpacked by a child of the test, without a sandbox.
pytestmark = [pytest.mark.root, pytest.mark.registry]

QUICK = RetryPolicy(first_wait_s=0.005, longest_step_s=0.02)
BLOB = r"GET /v2/.*/blobs/"
MANIFEST = r"GET /v2/.*/manifests/"


class Notes:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.amounts: dict[str, int] = {}
        self.notes: dict[str, str] = {}
        self.messages: list[str] = []

    def started(self, key: str, total: int | None, what: str) -> None:
        self.totals[key] = total

    def advanced(self, key: str, amount: int) -> None:
        self.amounts[key] = self.amounts.get(key, 0) + amount

    def finished(self, key: str, note: str = "") -> None:
        self.notes[key] = note

    def message(self, text: str) -> None:
        self.messages.append(text)


class Store:
    """A store of its own and a puller into it."""

    def __init__(self, root: Path) -> None:
        self.layout = StoreLayout.below(root)
        ensure_store(self.layout)
        self.layers = LayerStore(self.layout, launcher=DirectLauncher)
        self.images = ImageStore(self.layout)
        self.client = RegistryClient(policy=QUICK)
        self.puller = ImagePuller(self.layout, self.layers, client=lambda: self.client, launcher=DirectLauncher)

    def pull(
        self,
        reference: str,
        policy: PullPolicy = PullPolicy.MISSING,
        *,
        platform: str | None = None,
        progress: Notes | None = None,
    ) -> PulledImage:
        wanted = parse_platform(platform) if platform else None
        return self.puller.pull(Reference.parse(reference), policy=policy, platform=wanted, progress=progress)

    def read(self, pulled: PulledImage, name: str) -> bytes:
        """A file as the topmost layer that has it says."""
        config = self.images.config(pulled.record)
        for directory in reversed(self.layers.diff_dirs(config.chain_ids)):
            if (directory / name).exists():
                return (directory / name).read_bytes()
        raise FileNotFoundError(name)

    def is_empty(self) -> bool:
        """No record, no layer, nothing half-made."""
        staging = [path for path in self.layout.staging_dir.iterdir() if path.is_dir()]
        return not self.images.list() and not list(self.layers.list()) and not staging


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def image_of(*layers: Compression, kind: Kind = "oci") -> BuiltImage:
    """Layers with a file each that no other test's image has."""
    builder = ImageBuilder(kind=kind).config(Cmd=["x"])
    for number, compression in enumerate(layers):
        builder = builder.layer({f"f{number}": os.urandom(3000), "top": str(number)}, compression=compression)
    return builder.build()


@pytest.fixture
def through_proxy(
    push: Callable[..., str], registry: Registry, faulty_proxy: FaultyProxy
) -> Callable[[BuiltImage], str]:
    """Pushes to the registry; gives the reference by way of the proxy."""
    return lambda image: push(image).replace(registry.host, faulty_proxy.host)


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_image_is_pulled_with_all_its_layers(store: Store, push: Callable[..., str], kind: Kind) -> None:
    image = image_of("gzip", "plain", "zstd" if kind == "oci" else "gzip", kind=kind)
    reference = push(image)
    progress = Notes()
    pulled = store.pull(reference, progress=progress)
    assert pulled.fetched
    assert (pulled.record.reference, pulled.record.image_id) == (reference, image.image_id)
    assert pulled.record.manifest.digest == image.digest
    assert store.read(pulled, "top") == b"2"
    assert {len(store.read(pulled, f"f{number}")) for number in range(3)} == {3000}
    sizes = {str(layer.descriptor.digest): layer.descriptor.size for layer in image.layers}
    assert progress.totals == progress.amounts == sizes
    assert progress.notes == dict.fromkeys(sizes, "")
    assert store.images.find(reference) == pulled.record


def test_image_that_runs_is_pulled(store: Store, push: Callable[..., str]) -> None:
    pulled = store.pull(push(busybox_image()))
    (root,) = store.layers.diff_dirs(store.images.config(pulled.record).chain_ids)
    shown = subprocess.run([root / "bin/busybox", "echo", "hi"], capture_output=True, check=True)
    assert shown.stdout == b"hi\n"


def test_image_without_layers_is_pulled(store: Store, push: Callable[..., str]) -> None:
    pulled = store.pull(push(ImageBuilder().build()))
    assert not pulled.fetched
    assert pulled.record.layers == ()


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_platform_of_this_machine_is_taken_from_an_index(store: Store, push: Callable[..., str], kind: Kind) -> None:
    other = ImageBuilder(kind=kind, platform="linux/s390x").layer({"is": "other"}).build()
    own = ImageBuilder(kind=kind).layer({"is": "own"}).build()
    reference = push(build_index([other, own], kind=kind))
    assert store.read(store.pull(reference), "is") == b"own"
    assert store.read(store.pull(reference, platform="linux/s390x"), "is") == b"other"


def test_platform_that_is_not_there_is_told(store: Store, push: Callable[..., str]) -> None:
    reference = push(build_index([image_of("gzip")]))
    with pytest.raises(ImageNotFoundError, match="has no image for linux/s390x"):
        store.pull(reference, platform="linux/s390x")
    with pytest.raises(ImageNotFoundError, match="has no image for linux/s390x"):
        store.pull(push(image_of("gzip"), "single"), platform="linux/s390x")
    assert store.is_empty()


def test_single_image_for_another_platform_is_pulled_with_a_message(store: Store, push: Callable[..., str]) -> None:
    progress = Notes()
    store.pull(push(ImageBuilder(platform="linux/s390x").layer({"a": ""}).build()), progress=progress)
    assert len(progress.messages) == 1
    assert f"is for linux/s390x; this machine is {host_platform()}" in progress.messages[0]


def test_index_inside_an_index_is_followed(
    store: Store, push: Callable[..., str], registry_client: RegistryClient
) -> None:
    inner = build_index([image_of("gzip")])
    reference = push(inner, "inner")
    outer = build_index_document(Index(OCI_INDEX, (inner.descriptor,)))
    registry_client.push_manifest(Reference.parse(reference.replace(":inner", ":outer")), outer, media_type=OCI_INDEX)
    assert store.pull(reference.replace(":inner", ":outer")).record.manifest.digest == inner.images[0].digest


def test_image_is_pulled_by_digest_and_found_again(store: Store, push: Callable[..., str]) -> None:
    index = build_index([image_of("gzip")])
    name = push(index).removesuffix(":latest")
    by_index = f"{name}@{index.digest}"
    assert store.pull(by_index).fetched
    assert store.pull(f"{name}:latest@{index.digest}", PullPolicy.NEVER).record.reference == by_index
    # The digest of the platform's own manifest names the same image.
    assert store.pull(f"{name}@{index.images[0].digest}", PullPolicy.NEVER).record.reference == by_index


def test_image_that_is_here_is_not_asked_for(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    reference = through_proxy(image_of("gzip"))
    store.pull(reference)
    before = len(faulty_proxy.seen)
    assert not store.pull(reference).fetched
    assert not store.pull(reference, PullPolicy.NEVER).fetched
    assert len(faulty_proxy.seen) == before


def test_unchanged_image_costs_a_manifest(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    reference = through_proxy(image_of("gzip", "gzip"))
    store.pull(reference)
    faulty_proxy.seen.clear()
    progress = Notes()
    assert not store.pull(reference, PullPolicy.ALWAYS, progress=progress).fetched
    assert len(faulty_proxy.lines("GET")) == len(faulty_proxy.lines(MANIFEST)) == 1
    assert set(progress.notes.values()) == {"already there"}


@pytest.mark.parametrize("policy", [PullPolicy.ALWAYS, PullPolicy.NEWER])
def test_moved_tag_is_followed(store: Store, push: Callable[..., str], policy: PullPolicy) -> None:
    first, second = image_of("gzip"), image_of("gzip")
    reference = push(first)
    store.pull(reference)
    push(second)
    assert store.pull(reference).record.image_id == first.image_id
    assert store.pull(reference, policy).record.image_id == second.image_id


def test_image_that_is_here_serves_while_the_registry_is_away(store: Store, push: Callable[..., str]) -> None:
    reference = push(image_of("gzip"))
    record = store.pull(reference).record
    moved = store.images.find(reference)
    assert moved is not None
    gone = "127.0.0.1:1/x:1"
    store.images.put(type(record)(gone, record.manifest, record.config, record.layers, record.pulled))
    progress = Notes()
    assert store.pull(gone, PullPolicy.NEWER, progress=progress).record.image_id == record.image_id
    assert "connection refused" in progress.messages[0]
    with pytest.raises(RegistryUnreachableError):
        store.pull(gone, PullPolicy.ALWAYS)


def test_policy_never_says_so(store: Store) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        store.pull("redis:7", PullPolicy.NEVER)
    assert str(caught.value) == (
        "the image redis:7 is not in the store, and the pull policy is 'never'\n"
        "hint: pull it first: pytest-pods pull redis:7"
    )


def test_layers_that_are_here_are_not_fetched(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    base = image_of("gzip", "gzip")
    store.pull(through_proxy(base))
    faulty_proxy.seen.clear()
    more = ImageBuilder().add(*base.layers).layer({"new": os.urandom(10)}).build()
    assert store.pull(through_proxy(more), PullPolicy.ALWAYS).fetched
    assert faulty_proxy.lines(BLOB) == [
        line
        for digest in (more.image_id, more.layers[-1].descriptor.digest)
        for line in faulty_proxy.lines(str(digest))
    ]


def test_lost_layer_comes_back_from_its_blob(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    image = image_of("gzip", "gzip")
    reference = through_proxy(image)
    pulled = store.pull(reference)
    store.layers.remove(store.images.config(pulled.record).chain_ids[0])
    faulty_proxy.seen.clear()
    assert store.read(store.pull(reference), "f0")
    assert faulty_proxy.lines(BLOB) == []


def test_damaged_blob_is_fetched_anew(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    image = image_of("gzip")
    reference = through_proxy(image)
    pulled = store.pull(reference)
    (chain_id,) = store.images.config(pulled.record).chain_ids
    store.layers.remove(chain_id)
    store.layout.blob(image.layers[0].descriptor.digest).write_bytes(b"damaged")
    faulty_proxy.seen.clear()
    assert store.read(store.pull(reference), "f0")
    assert len(faulty_proxy.lines(BLOB)) == 1
    assert store.layout.blob(image.layers[0].descriptor.digest).read_bytes() == image.layers[0].blob


def test_pull_goes_on_over_broken_connections(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    image = ImageBuilder().layer({"big": os.urandom(900_000)}).layer({"b": os.urandom(600_000)}).build()
    reference = through_proxy(image)
    faulty_proxy.inject(MANIFEST, CutAfter(30))
    faulty_proxy.inject(BLOB, CutAfter(100))
    faulty_proxy.inject(BLOB, CutAfter(300_000), times=3)
    assert len(store.read(store.pull(reference), "big")) == 900_000


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("pattern", "fault", "kind"),
    [
        pytest.param(BLOB, Change(flip), DigestMismatchError, id="changed config"),
        pytest.param(BLOB, Change(lambda content: content[:-1]), SizeMismatchError, id="short config"),
        pytest.param(MANIFEST, Change(flip), DigestMismatchError, id="changed manifest"),
        pytest.param(
            MANIFEST,
            Change(lambda content: content[:40], {"Docker-Content-Digest": ""}),
            ContentError,
            id="cut manifest",
        ),
        pytest.param(MANIFEST, Answer(404), ImageNotFoundError, id="no manifest"),
        pytest.param(BLOB, Answer(404), RegistryError, id="no config"),
        pytest.param(MANIFEST, Answer(503), RegistryError, id="registry out of order"),
    ],
)
def test_failed_pull_leaves_nothing(
    store: Store,
    through_proxy: Callable[[BuiltImage], str],
    faulty_proxy: FaultyProxy,
    pattern: str,
    fault: Answer | Change,
    kind: type[Exception],
) -> None:
    reference = through_proxy(image_of("gzip"))
    faulty_proxy.inject(pattern, fault, times=20)
    with pytest.raises(kind):
        store.pull(reference)
    assert store.is_empty()


@pytest.mark.parametrize("fault", [Change(flip), Change(lambda content: content + b"x"), Answer(404), CutAfter(0)])
def test_one_bad_layer_fails_the_pull(
    store: Store,
    through_proxy: Callable[[BuiltImage], str],
    faulty_proxy: FaultyProxy,
    fault: Answer | Change | CutAfter,
) -> None:
    image = image_of("gzip", "gzip", "gzip", "gzip", "gzip", "gzip")
    reference = through_proxy(image)
    bad = image.layers[2].descriptor.digest
    faulty_proxy.inject(str(bad), fault, times=20)
    with pytest.raises((ContentError, RegistryError)) as caught:
        store.pull(reference)
    assert bad.short in str(caught.value)
    assert store.images.list() == ()
    assert [path for path in store.layout.staging_dir.iterdir() if path.is_dir()] == []


def test_failed_pull_is_taken_up_again(
    store: Store, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    image = image_of("gzip", "gzip")
    reference = through_proxy(image)
    faulty_proxy.inject(str(image.layers[1].descriptor.digest), Answer(404))
    with pytest.raises(RegistryError):
        store.pull(reference)
    assert store.read(store.pull(reference), "top") == b"1"


def test_layer_that_unpacks_to_something_else_is_refused(store: Store, push: Callable[..., str]) -> None:
    other = build_layer({"other": ""}).diff_id
    with pytest.raises(DigestMismatchError, match=other.hex):
        store.pull(push(ImageBuilder().layer({"a": "1"}).build(diff_ids=[other])))
    assert store.is_empty()


def test_config_with_another_number_of_layers_is_refused(store: Store, push: Callable[..., str]) -> None:
    image = ImageBuilder().layer({"a": "1"}).layer({"b": "1"})
    with pytest.raises(InvalidDocumentError, match="has 2 layers and its config 1"):
        store.pull(push(image.build(diff_ids=[image.layers[0].diff_id])))
    assert store.is_empty()


def test_index_entry_with_a_wrong_size_is_refused(
    store: Store, push: Callable[..., str], registry_client: RegistryClient
) -> None:
    from dataclasses import replace

    image = image_of("gzip")
    reference = push(image)
    content = build_index_document(Index(OCI_INDEX, (replace(image.descriptor, size=7),)))
    registry_client.push_manifest(Reference.parse(reference), content, media_type=OCI_INDEX)
    with pytest.raises(SizeMismatchError, match="its index promises 7"):
        store.pull(reference)


_PULL = """
import sys
from pathlib import Path
from tests.integration.registry.test_pulling import Store
print("ready", flush=True)
sys.stdin.readline()
store = Store(Path(sys.argv[1]))
print(store.pull(sys.argv[2]).record.image_id)
"""


def test_eight_processes_that_pull_at_once_fetch_once(
    tmp_path: Path, through_proxy: Callable[[BuiltImage], str], faulty_proxy: FaultyProxy
) -> None:
    image = ImageBuilder().layer({"a": os.urandom(400_000)}).layer({"b": os.urandom(300_000)}).build()
    reference = through_proxy(image)
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PULL, str(tmp_path / "store"), reference],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
            text=True,
        )
        for _ in range(8)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert answers == [f"{image.image_id}\n"] * 8
    fetched = [line.rpartition("/")[2] for line in faulty_proxy.lines(BLOB)]
    assert sorted(fetched) == sorted(str(digest) for digest in image.blobs())
    config = json.loads(image.config)
    assert len(list(StoreLayout.below(tmp_path / "store").layers_dir.iterdir())) == len(config["rootfs"]["diff_ids"])
