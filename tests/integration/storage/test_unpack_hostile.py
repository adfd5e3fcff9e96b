"""Layers made to harm: refused by name, with nothing left in the store, or unpacked without harm."""

from __future__ import annotations

import gzip
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pods.engine.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    PodsError,
    SizeMismatchError,
    UnsafeEntryError,
)
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.storage.limits import LayerLimits
from tests.support.images import (
    Entry,
    Files,
    Layer,
    build_layer,
    build_tar,
    compress,
    directory,
    file,
    hardlink,
    symlink,
)
from tests.support.storage import Store, open_store

pytestmark = pytest.mark.root

CANARY = b"still alive"


@pytest.fixture(autouse=True)
def canaries(tmp_path: Path, store: Store) -> list[Path]:
    """Files beside every directory that an escape could reach."""
    places = [tmp_path, store.layout.root, store.layout.staging_dir.parent, store.layout.layers_dir.parent]
    paths = [place / "canary" for place in dict.fromkeys(places)]
    for path in paths:
        path.write_bytes(CANARY)
    return paths


def check_untouched(store: Store, canaries: list[Path]) -> None:
    assert store.left_overs() == []
    assert [path.read_bytes() for path in canaries] == [CANARY] * len(canaries)


UNSAFE: dict[str, Files] = {
    "parent": {"../canary": b"x"},
    "parent in the middle": {"a/../../canary": b"x"},
    "parent at the end": {"a/b/..": directory()},
    "absolute parent": {"/../../canary": b"x"},
    "hard link to a parent": {"h": hardlink("../../canary")},
    "hard link to the root": {"h": hardlink("/")},
    "hard link to a directory": {"d/": directory(), "h": hardlink("d")},
    "file where a directory is needed": {"a": b"1", "a/b": b"2"},
    "parent is a link to nothing": {"a": symlink("nowhere"), "a/b": b"2"},
    "parent is a link to itself": {"a": symlink("a"), "a/b": b"2"},
    "root replaced by a file": {".": file(b"x")},
    "root replaced by a link": {"./": symlink("/etc")},
    "whiteout of nothing": {".wh.": b""},
    "whiteout of the directory itself": {"d/.wh..": b""},
    "whiteout of the parent": {"d/.wh...": b""},
    "unknown whiteout of whiteouts": {"d/.wh..wh.unknown": b""},
    "entry below a whiteout": {".wh.a/b": b"1"},
    "directory of the opaque mark": {".wh..wh..opq/a": b"1"},
    "component too long": {"x" * 256: b"1"},
    "name too long": {"/".join(["d" * 200] * 25): b"1"},
}


@pytest.mark.parametrize("files", UNSAFE.values(), ids=UNSAFE)
def test_an_entry_that_is_unsafe_is_refused(store: Store, canaries: list[Path], files: Files) -> None:
    with pytest.raises(UnsafeEntryError, match=r"unpacking layer [0-9a-f]{12}"):
        store.unpack(files)
    check_untouched(store, canaries)


def test_the_message_names_the_entry_on_one_line(store: Store) -> None:
    with pytest.raises(UnsafeEntryError) as caught:
        store.unpack({"../evil\nname": b"x"})
    assert "'../evil\\nname'" in caught.value.brief


HARMLESS: dict[str, tuple[Files, str]] = {
    "absolute": ({"/etc/canary": b"x"}, "etc/canary"),
    "through an absolute link": ({"a": symlink("/"), "a/canary": b"x"}, "canary"),
    "through a link upwards": ({"a": symlink("../../../.."), "a/canary": b"x"}, "canary"),
    "through a chain of links": ({"a": symlink("../.."), "b": symlink("a/.."), "b/canary": b"x"}, "canary"),
    "onto a link": ({"canary": symlink("../../canary"), "./canary": b"x"}, "canary"),
    "through a link made anew": (
        [("d/", directory()), ("d/a", file(b"1")), ("d", symlink("../..")), ("d/canary", file(b"x"))],
        "canary",
    ),
}


@pytest.mark.parametrize(("files", "lands"), HARMLESS.values(), ids=HARMLESS)
def test_an_entry_that_points_out_stays_in_the_layer(
    store: Store, canaries: list[Path], files: Files, lands: str
) -> None:
    root = store.unpack(files)
    assert (root / lands).read_bytes() == b"x"
    check_untouched(store, canaries)


def test_a_hard_link_through_a_link_stays_in_the_layer(store: Store, canaries: list[Path]) -> None:
    with pytest.raises(InvalidDocumentError, match="which the layer has not"):
        store.unpack({"up": symlink("../../../.."), "h": hardlink("up/canary")})
    check_untouched(store, canaries)


def test_a_hard_link_to_a_link_is_another_name_of_the_link(store: Store) -> None:
    root = store.unpack({"s": symlink("/etc/passwd"), "h": hardlink("s")})
    assert os.readlink(root / "h") == "/etc/passwd"


def test_a_directory_mode_is_not_applied_through_a_link(store: Store, canaries: list[Path], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    store.unpack([("d/", directory(mode=0o777, uid=5)), ("d", symlink(str(victim)))])
    assert (victim.stat().st_mode & 0o777, victim.stat().st_uid) == (0o700, 0)


def raw(name: bytes = b"a", *, content: bytes = b"", **fields: bytes) -> bytes:
    """A header with fields of any kind, and content."""
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[:100] = name.ljust(100, b"\0")
    places = {"mode": (100, 108), "uid": (108, 116), "size": (124, 136), "type": (156, 157), "link": (157, 257)}
    for field, value in {"size": b"%011o\0" % len(content), **fields}.items():
        start, end = places[field]
        header[start:end] = value.ljust(end - start, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512)


def pax(records: bytes) -> bytes:
    return raw(b"x", content=records, type=b"x")


END = bytes(1024)

MALFORMED: dict[str, bytes] = {
    "not a tar": os.urandom(2048),
    "text": b"This is not an archive.\n" * 100,
    "wrong checksum": b"b" + raw(b"a")[1:] + END,
    "cut header": raw(b"a")[:300],
    "cut content": raw(b"a", content=b"x" * 5000)[:3000],
    "cut padding": raw(b"a", content=b"x" * 700)[:1250],
    "size with a sign": raw(size=b"-0000000001\0") + END,
    "size with an underscore": raw(size=b"1_0\0") + END,
    "size not octal": raw(size=b"00000000009\0") + END,
    "negative size": raw(size=b"\xff" * 12) + END,
    "giant size": raw(size=b"\x80" + b"\x7f" * 11) + END,
    "owner out of range": raw(uid=b"\x80\x00\x00\x00\xff\xff\xff\xff") + END,
    "unknown type": raw(type=b"Z") + END,
    "sparse file": raw(type=b"S") + END,
    "link to nothing": raw(type=b"2") + END,
    "PAX without a length": pax(b"path=abc\n") + raw() + END,
    "PAX too long": pax(b"99 path=abc\n") + raw() + END,
    "PAX of length zero": pax(b"0 path=abc\n") + raw() + END,
    "PAX without a line end": pax(b"11 path=abc") + raw() + END,
    "PAX without a key": pax(b"8 =abcd\n") + raw() + END,
    "PAX with a bad size": pax(b"14 size=12x45\n") + raw() + END,
    "PAX with a bad time": pax(b"16 mtime=1.2.34\n") + raw() + END,
    "PAX and then nothing": pax(b"12 path=abc\n") + END,
    "giant PAX header": raw(b"x", type=b"x", size=b"77777777777\0") + END,
    "giant long name": raw(b"x", type=b"L", size=b"77777777777\0") + END,
}


@pytest.mark.parametrize("tar", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_archive_is_refused(store: Store, canaries: list[Path], tar: bytes) -> None:
    with pytest.raises((InvalidDocumentError, SizeMismatchError)):
        store.unpack(tar)
    check_untouched(store, canaries)


def test_a_name_with_nul_in_pax_is_refused(store: Store) -> None:
    with pytest.raises(UnsafeEntryError, match="NUL"):
        store.unpack(pax(b"13 path=a\0bc\n") + raw() + END)


GZIP = gzip.compress(build_tar({"a": os.urandom(100_000)}), mtime=0)

STREAMS: dict[str, tuple[bytes, str]] = {
    "cut gzip": (GZIP[:-5000], "ends in the middle"),
    "cut before gzip's checksum": (GZIP[:-4], "ends in the middle"),
    "gzip with a flipped bit": (GZIP[:50_000] + bytes([GZIP[50_000] ^ 1]) + GZIP[50_001:], "corrupt|header|archive"),
    "gzip with a wrong checksum": (GZIP[:-8] + bytes(8), "corrupt"),
    "garbage after gzip": (GZIP + b"garbage", "corrupt"),
    "only the beginning of gzip": (GZIP[:5], "ends in the middle"),
    "cut zstd": (compress(build_tar({"a": os.urandom(100_000)}), "zstd")[:-5000], "ends in the middle"),
    "damaged zstd": (compress(build_tar({"a": bytes(9000)}), "zstd")[:9] + bytes(40), "corrupt|middle|archive"),
}


def layer_of(blob: bytes, tar: bytes = b"") -> Layer:
    """A layer whose blob is what it says it is, and whose diff ID is that of `tar`."""
    proper = build_layer(tar, compression="zstd")
    descriptor = replace(proper.descriptor, digest=Digest.of_bytes(blob), size=len(blob))
    return replace(proper, blob=blob, descriptor=descriptor)


@pytest.mark.parametrize(("blob", "reason"), STREAMS.values(), ids=STREAMS)
def test_a_damaged_stream_is_refused(store: Store, canaries: list[Path], blob: bytes, reason: str) -> None:
    with pytest.raises(InvalidDocumentError, match=reason):
        store.ingest(layer_of(blob))
    check_untouched(store, canaries)


@pytest.mark.parametrize(
    "blob",
    [
        GZIP + bytes(100),
        b"".join(gzip.compress(gzip.decompress(GZIP)[i : i + 7000]) for i in range(0, 110_000, 7000)),
        b"".join(compress(gzip.decompress(GZIP)[i : i + 7000], "zstd") for i in range(0, 110_000, 7000)),
    ],
    ids=["zeros after gzip", "many gzip members", "many zstd frames"],
)
def test_unusual_but_proper_streams_are_read(store: Store, blob: bytes) -> None:
    layer = layer_of(blob, gzip.decompress(GZIP))
    assert store.ingest(layer)
    assert os.listdir(store.layout.layer(layer.diff_id).diff_dir) == ["a"]


def test_what_follows_the_end_of_the_archive_counts_for_the_diff_id_and_is_not_unpacked(store: Store) -> None:
    tar = build_tar({"a": b"1"}) + build_tar({"b": b"2"})
    assert os.listdir(store.unpack(tar)) == ["a"]


@pytest.mark.parametrize("compression", ["plain", "gzip", "zstd"])
def test_a_layer_with_more_bytes_than_the_limit_is_refused(tmp_path: Path, compression: str) -> None:
    store = open_store(tmp_path / "small", limits=LayerLimits(most_bytes=10_000_000))
    layer = build_layer({"bomb": bytes(30_000_000)}, compression=compression)  # type: ignore[arg-type]
    with pytest.raises(SizeMismatchError, match="more than 10000000 bytes uncompressed"):
        store.ingest(layer)
    assert store.left_overs() == []


def test_a_layer_with_more_entries_than_the_limit_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "small", limits=LayerLimits(most_entries=10))
    with pytest.raises(SizeMismatchError, match="more than 10 entries"):
        store.unpack({f"f{number}": b"" for number in range(11)})
    assert store.left_overs() == []


def test_a_layer_that_replaces_its_directories_for_ever_is_refused(store: Store) -> None:
    entries = [("d", file() if number % 2 else directory()) for number in range(4100)]
    with pytest.raises(UnsafeEntryError, match="replaces more than"):
        store.unpack(entries)


def test_a_tree_that_links_make_deeper_than_any_path_is_unpacked_and_removed(store: Store) -> None:
    deep = "/".join(["d"] * 200)
    entries: list[tuple[str, Entry]] = [(f"{deep}/", directory())]
    for number in range(10):
        entries += [(f"l{number}", symlink(deep if number == 0 else f"l{number - 1}/{deep}"))]
        entries += [(f"l{number}/{deep}/", directory())]
    layer = build_layer(build_tar(entries))
    assert store.ingest(layer)
    assert store.layers.find_damage(layer.diff_id) is None
    store.layers.remove(layer.diff_id)
    assert list(store.layers.list()) == []


def test_an_entry_that_is_too_deep_is_refused(store: Store) -> None:
    with pytest.raises(UnsafeEntryError, match="1500 directories deep"):
        store.unpack({"/".join(["d"] * 1500): b"x"})


def test_a_blob_of_another_digest_is_refused(store: Store, canaries: list[Path]) -> None:
    layer = build_layer({"a": b"1"})
    with pytest.raises(DigestMismatchError, match="has the digest sha256:"):
        store.ingest(layer, [layer.blob[:-1] + bytes([layer.blob[-1] ^ 1])])
    check_untouched(store, canaries)


@pytest.mark.parametrize("change", [-1, 1], ids=["shorter", "longer"])
def test_a_blob_of_another_size_is_refused(store: Store, canaries: list[Path], change: int) -> None:
    layer = build_layer({"a": b"1"})
    blob = layer.blob[:change] if change < 0 else layer.blob + b"x"
    with pytest.raises(SizeMismatchError):
        store.ingest(layer, [blob])
    check_untouched(store, canaries)


def test_a_layer_of_another_diff_id_is_refused(store: Store, canaries: list[Path]) -> None:
    layer = build_layer({"a": b"1"})
    with pytest.raises(DigestMismatchError, match="as the image config says"):
        store.ingest(replace(layer, diff_id=build_layer({"a": b"2"}).diff_id))
    check_untouched(store, canaries)


def test_the_sources_own_error_is_raised_and_nothing_stays(store: Store, canaries: list[Path]) -> None:
    layer = build_layer({"a": os.urandom(500_000)})

    def chunks() -> Iterator[bytes]:
        yield layer.blob[:300_000]
        raise PodsError("the line was cut")

    with pytest.raises(PodsError, match="the line was cut"):
        store.ingest(layer, chunks())
    check_untouched(store, canaries)


def test_random_damage_never_gets_out_and_never_breaks_the_child(store: Store, canaries: list[Path]) -> None:
    rng = random.Random(7)
    tar = bytearray(build_tar({"d/": directory(), "d/a": b"1" * 600, "s": symlink("d"), "h": hardlink("d/a")}))
    for _ in range(60):
        damaged = bytearray(tar)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(4096)] = rng.randrange(256)
        for start in range(0, 4096, 512):
            if rng.random() < 0.8:
                # With a right checksum the damage reaches what lies behind it.
                block = damaged[start : start + 512]
                block[148:156] = b" " * 8
                damaged[start + 148 : start + 156] = b"%06o\0 " % sum(block)
        try:
            store.unpack(bytes(damaged))
        except (UnsafeEntryError, InvalidDocumentError, SizeMismatchError):
            continue
    check_untouched(store, canaries)


