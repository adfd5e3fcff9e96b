"""The layer store: once, whole or not at all, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.errors import DiskFullError, ImageNotFoundError
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.storage.layers import LayerStore
from tests.support.images import build_layer, directory, file
from tests.support.storage import Store, open_store

pytestmark = pytest.mark.root

LAYER = build_layer({"d/": directory(), "d/a": os.urandom(200_000), "b": file(b"2", uid=5)})


def test_a_layer_is_there_once_it_is_ingested_and_its_blob_too(store: Store) -> None:
    assert not store.layers.has(LAYER.diff_id)
    assert store.ingest(LAYER)
    assert store.layers.has(LAYER.diff_id)
    assert store.layout.blob(LAYER.descriptor.digest).read_bytes() == LAYER.blob
    assert store.layers.size(LAYER.diff_id) > 200_000
    assert store.left_overs() == []


def test_what_is_there_is_not_read_again(store: Store) -> None:
    store.ingest(LAYER)

    untouched = iter([b"bytes that are here already"])
    assert not store.ingest(LAYER, untouched)
    assert next(untouched)


def test_many_threads_that_want_a_layer_read_it_once(store: Store) -> None:
    readings = []
    barrier = threading.Barrier(6)

    def chunks() -> Iterator[bytes]:
        readings.append(threading.get_ident())
        yield LAYER.blob

    def work() -> None:
        barrier.wait()
        store.ingest(LAYER, chunks())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(readings) == 1
    assert store.layers.find_damage(LAYER.diff_id) is None


def test_diff_dirs_are_lowest_first_and_missing_layers_are_named(store: Store) -> None:
    low, high = store.unpack({"low": b""}), store.unpack({"high": b""})
    ids = [Digest("sha256", path.parent.name) for path in (low, high)]
    assert store.layers.diff_dirs(ids) == (low, high)
    with pytest.raises(ImageNotFoundError, match=LAYER.diff_id.short):
        store.layers.diff_dirs([*ids, LAYER.diff_id])


def test_an_image_without_layers_has_an_empty_directory(store: Store) -> None:
    (empty,) = store.layers.diff_dirs([])
    assert os.listdir(empty) == []


def test_a_removed_layer_is_gone_and_can_come_again(store: Store) -> None:
    store.ingest(LAYER)
    store.layers.remove(LAYER.diff_id)
    assert not store.layers.has(LAYER.diff_id)
    assert os.listdir(store.layout.layers_dir) == []
    assert store.ingest(LAYER)


def test_a_half_removed_layer_is_replaced(store: Store) -> None:
    store.ingest(LAYER)
    store.layout.layer(LAYER.diff_id).complete_file.unlink()
    (store.layout.layer(LAYER.diff_id).diff_dir / "b").unlink()
    assert store.ingest(LAYER)
    assert store.layers.find_damage(LAYER.diff_id) is None


@pytest.mark.parametrize("damage", ["content", "size", "mode", "owner", "missing", "kind"])
def test_damage_is_found(store: Store, damage: str) -> None:
    store.ingest(LAYER)
    assert store.layers.find_damage(LAYER.diff_id) is None
    victim = store.layout.layer(LAYER.diff_id).diff_dir / "d/a"
    content = victim.read_bytes()
    match damage:
        case "content":
            victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "size":
            os.truncate(victim, 0)
        case "mode":
            victim.chmod(0o777)
        case "owner":
            os.chown(victim, 1, 1)
        case "missing":
            victim.unlink()
        case "kind":
            victim.unlink()
            victim.mkdir()
    assert "'d/a'" in (store.layers.find_damage(LAYER.diff_id) or "")


class TestAfterARestartOfTheMachine:
    """Layers that were written in another uptime, and may not have reached the disk."""

    @pytest.fixture
    def restarted(self, store: Store) -> LayerStore:
        store.ingest(LAYER)
        store.layout.layer(LAYER.diff_id).complete_file.write_text("another-uptime\n")
        return LayerStore(store.layout, launcher=DirectLauncher)

    def test_a_whole_layer_is_trusted_once_it_was_compared(self, store: Store, restarted: LayerStore) -> None:
        assert restarted.has(LAYER.diff_id)
        assert store.layout.layer(LAYER.diff_id).durable_file.exists()

    def test_a_layer_with_an_empty_file_is_not_there(self, store: Store, restarted: LayerStore) -> None:
        os.truncate(store.layout.layer(LAYER.diff_id).diff_dir / "d/a", 0)
        assert not restarted.has(LAYER.diff_id)
        assert os.listdir(store.layout.layers_dir) == []
        assert store.ingest(LAYER)

    def test_a_layer_with_a_lost_list_is_not_there(self, store: Store, restarted: LayerStore) -> None:
        os.truncate(store.layout.layer(LAYER.diff_id).entries_file, 0)
        assert not restarted.has(LAYER.diff_id)

    def test_a_layer_that_was_synced_is_not_read(self, store: Store, restarted: LayerStore) -> None:
        store.layout.layer(LAYER.diff_id).durable_file.touch()
        os.truncate(store.layout.layer(LAYER.diff_id).diff_dir / "d/a", 0)
        assert restarted.has(LAYER.diff_id)


def test_old_enough_layers_are_synced_and_marked(store: Store) -> None:
    store.ingest(LAYER)
    layer = store.layout.layer(LAYER.diff_id)
    store.layers.settle()
    assert not layer.durable_file.exists()
    os.utime(layer.complete_file, (0, 0))
    store.layers.settle()
    assert layer.durable_file.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.storage import open_store
from tests.integration.storage.test_layers import LAYER, build_layer
store = open_store(Path(sys.argv[1]))
layer = build_layer({"big": bytes(3_000_000), "a": b"1"}, compression="plain")
def chunks():
    yield layer.blob[:2_000_000]
    print("half", flush=True)
    signal.pause()
store.ingest(layer, chunks())
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_does_is_not(store: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(store.layout.root)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        assert store.layers.sweep_staging() == 0
        process.send_signal(signal.SIGKILL)
    assert store.layers.sweep_staging() == 1
    assert store.left_overs() == []


def test_a_full_disk_is_named_and_nothing_half_made_stays(tmp_path: Path) -> None:
    mountpoint = tmp_path / "small"
    mountpoint.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", mountpoint], check=True)
    try:
        store = open_store(mountpoint / "store")
        small = build_layer({"a": os.urandom(100_000)})
        assert store.ingest(small)
        with pytest.raises(DiskFullError, match=r"unpacking layer .*No space left") as caught:
            store.ingest(build_layer({"a": b"0" * 8_000_000}))
        assert "--pods-root" in (caught.value.hint or "")
        assert store.left_overs() == []
        assert store.layers.find_damage(small.diff_id) is None
        with pytest.raises(DiskFullError):
            store.ingest(build_layer({"a": os.urandom(1_500_000)}, compression="plain"))
        assert store.left_overs() == []
    finally:
        subprocess.run(["umount", mountpoint], check=True)
