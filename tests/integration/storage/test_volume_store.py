"""Volumes on the disk: whole or not at all, and never lost with their record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import InUseError, NameInUseError, StorageError
from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.state.layout import StoreLayout
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.engine.storage.volumes import VolumeRecord, VolumeStore


@pytest.fixture
def store(tmp_path: Path) -> StoreLayout:
    layout = StoreLayout.below(tmp_path / "store")
    ensure_store(layout)
    return layout


@pytest.fixture
def volumes(store: StoreLayout) -> VolumeStore:
    return VolumeStore(store.volumes, store=store, launcher=DirectLauncher)


def test_record_is_read_back(volumes: VolumeStore) -> None:
    record = VolumeRecord("data", 12.5, {"a": "b"}, None)
    volumes.create(record, entries=[("file", b"x")])
    assert volumes.find("data") == record
    assert volumes.list() == (record,)
    assert volumes.find("other") is None


def test_name_is_taken_once(volumes: VolumeStore, store: StoreLayout) -> None:
    volumes.create(VolumeRecord("data", 1.0))
    with pytest.raises(NameInUseError):
        volumes.create(VolumeRecord("data", 2.0), entries=[("file", b"x")])
    assert volumes.list() == (VolumeRecord("data", 1.0),)
    assert os.listdir(store.staging_dir) == []


@pytest.mark.parametrize("content", [None, b"", bytes(40)])
def test_volume_whose_record_a_power_cut_took_is_there_all_the_same(
    volumes: VolumeStore, content: bytes | None
) -> None:
    volumes.create(VolumeRecord("data", 1.0, {"a": "b"}), entries=[("file", b"precious")])
    layout = volumes.layout.volume("data")
    layout.record_file.unlink()
    if content is not None:
        layout.record_file.write_bytes(content)
    found = volumes.find("data")
    assert found is not None
    assert (found.name, found.labels, found.anonymous) == ("data", {}, False)
    assert (layout.data_dir / "file").read_bytes() == b"precious"


def test_record_of_somebody_else_is_a_named_error(volumes: VolumeStore) -> None:
    volumes.create(VolumeRecord("data", 1.0))
    volumes.layout.volume("data").record_file.write_text("[]")
    with pytest.raises(StorageError, match="is not a JSON object"):
        volumes.list()


def test_failure_half_way_leaves_nothing(volumes: VolumeStore, store: StoreLayout, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        volumes.create(VolumeRecord("data", 1.0), entries=[("a", b"x"), ("b", tmp_path / "gone")])
    assert volumes.list() == ()
    assert os.listdir(store.staging_dir) == []


def test_refused_removal_leaves_the_volume(volumes: VolumeStore) -> None:
    volumes.create(VolumeRecord("data", 1.0))

    def refuse() -> None:
        raise InUseError("no")

    with pytest.raises(InUseError):
        volumes.remove("data", check=refuse)
    assert volumes.find("data") is not None
    assert volumes.remove("data", check=lambda: None)
    assert not volumes.remove("data", check=lambda: None)


def test_what_killed_processes_left_half_made_and_half_removed_is_swept(
    volumes: VolumeStore, store: StoreLayout
) -> None:
    volumes.create(VolumeRecord("doomed", 1.0), entries=[("a/file", b"x")])
    place = store.staging("0123456789abcdef")
    place.directory.mkdir()
    place.lock_file.touch()
    os.rename(volumes.layout.volume("doomed").directory, place.volume.directory)
    volumes.create(VolumeRecord("next", 2.0))
    assert os.listdir(store.staging_dir) == []
    assert [record.name for record in volumes.list()] == ["next"]
