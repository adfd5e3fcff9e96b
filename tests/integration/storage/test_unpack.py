"""What an honest layer unpacks to."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pytest_pods.engine.host.direct import DirectLauncher
from pytest_pods.engine.oci.digest import Digest
from tests.support.images import (
    block_device,
    build_tar,
    character_device,
    directory,
    fifo,
    file,
    hardlink,
    symlink,
)
from tests.support.storage import Store, UserNamespaceLauncher, open_store

pytestmark = pytest.mark.root


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, "trusted.overlay.opaque") == b"y"


def test_files_keep_content_owner_mode_and_time(store: Store) -> None:
    root = store.unpack({"a": file(b"content", mode=0o640, uid=12, gid=34, mtime=1_500_000_000.25)})
    status = (root / "a").stat()
    assert (root / "a").read_bytes() == b"content"
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o640)
    assert status.st_mtime_ns == 1_500_000_000_250_000_000


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1644])
def test_special_bits_survive_a_change_of_owner(store: Store, mode: int) -> None:
    root = store.unpack({"a": file(b"x", mode=mode, uid=7, gid=8)})
    assert stat.S_IMODE((root / "a").stat().st_mode) == mode


def test_directories_keep_mode_owner_and_time_though_they_are_filled(store: Store) -> None:
    entry = directory(mode=0o2570, uid=3, gid=4, mtime=1_400_000_000)
    root = store.unpack({"d/": entry, "d/a": b"1", "d/e/": directory()})
    status = (root / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2570, 3, 4)
    assert status.st_mtime == 1_400_000_000
    # The set-gid bit came last: what is inside did not inherit the group.
    assert (root / "d/a").stat().st_gid == 0


def test_the_roots_own_entry_is_applied_to_the_root(store: Store) -> None:
    root = store.unpack({"./": directory(mode=0o711, uid=5, gid=6), "./a": b"1"})
    status = root.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o711, 5, 6)


def test_missing_parents_are_made(store: Store) -> None:
    root = store.unpack({"a/b/c": b"1"})
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o755
    assert (root / "a/b/c").read_bytes() == b"1"


def test_links_are_kept(store: Store) -> None:
    soft = symlink("/etc/../nowhere", uid=9)
    root = store.unpack({"a": b"1", "d/": directory(), "d/hard": hardlink("a"), "soft": soft})
    assert (root / "d/hard").stat().st_ino == (root / "a").stat().st_ino
    assert os.readlink(root / "soft") == "/etc/../nowhere"
    assert (root / "soft").lstat().st_uid == 9


def test_nodes_are_kept(store: Store) -> None:
    root = store.unpack({"f": fifo(mode=0o600), "c": character_device(1, 3), "b": block_device(7, 0, gid=6)})
    assert stat.S_ISFIFO((root / "f").lstat().st_mode)
    assert (root / "c").lstat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((root / "b").lstat().st_mode)
    assert (root / "b").lstat().st_gid == 6


def test_capabilities_and_user_attributes_are_kept_and_overlay_attributes_are_not(store: Store) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode("latin-1")
    xattrs = {
        "security.capability": capability,
        "user.note": "hello",
        "trusted.overlay.redirect": "/etc",
        "trusted.overlay.opaque": "y",
        "user.overlay.opaque": "y",
        "security.selinux": "label",
    }
    root = store.unpack({"d/": directory(xattrs=xattrs), "a": file(b"x", uid=1, xattrs=xattrs)})
    assert set(os.listxattr(root / "a")) - {"security.selinux"} == {"security.capability", "user.note"}
    assert os.getxattr(root / "a", "user.note") == b"hello"
    assert os.getxattr(root / "a", "security.capability")[0] == 1
    assert "trusted.overlay.opaque" not in os.listxattr(root / "d")


def test_a_whiteout_becomes_a_device_that_overlayfs_knows(store: Store) -> None:
    root = store.unpack({"d/": directory(), "d/.wh.gone": b"", ".wh.also": b""})
    assert is_whiteout(root / "d/gone")
    assert is_whiteout(root / "also")
    assert sorted(os.listdir(root)) == ["also", "d"]


def test_an_opaque_directory_is_marked(store: Store) -> None:
    root = store.unpack({"d/": directory(), "d/.wh..wh..opq": b"", "d/new": b"1", "e/.wh..wh..opq": b""})
    assert is_opaque(root / "d")
    assert is_opaque(root / "e")
    assert os.listdir(root / "d") == ["new"]


@pytest.mark.parametrize("order", [("d/", ".wh.d"), (".wh.d", "d/")], ids=["after", "before"])
def test_a_whiteout_beside_a_new_directory_hides_what_is_below_only(store: Store, order: tuple[str, ...]) -> None:
    root = store.unpack([*((name, directory() if name == "d/" else file()) for name in order), ("d/a", file(b"1"))])
    assert is_opaque(root / "d")
    assert (root / "d/a").read_bytes() == b"1"


@pytest.mark.parametrize("order", [("a", ".wh.a"), (".wh.a", "a")], ids=["after", "before"])
def test_a_whiteout_beside_a_new_file_leaves_the_file(store: Store, order: tuple[str, ...]) -> None:
    root = store.unpack([(name, file(b"1")) for name in order])
    assert (root / "a").read_bytes() == b"1"


def test_an_entry_below_a_hidden_name_makes_an_opaque_directory(store: Store) -> None:
    root = store.unpack([(".wh.d", file()), ("d/a", file(b"1"))])
    assert is_opaque(root / "d")
    assert (root / "d/a").read_bytes() == b"1"


def test_an_opaque_root_hides_the_layers_below(store: Store) -> None:
    first = store.unpack({"a": b"1"})
    second = store.unpack({".wh..wh..opq": b"", "b": b"2"})
    ids = [Digest("sha256", path.parent.name) for path in (first, second)]
    assert store.layers.diff_dirs(ids) == (second,)
    assert store.layers.diff_dirs(ids[::-1]) == (second, first)


def test_book_keeping_of_aufs_is_left_out(store: Store) -> None:
    root = store.unpack({".wh..wh.aufs": b"", ".wh..wh.plnk/": directory(), ".wh..wh.plnk/12.34": b"x", "a": b"1"})
    assert os.listdir(root) == ["a"]


def test_the_last_of_several_entries_of_a_name_counts(store: Store) -> None:
    root = store.unpack(
        [
            ("a", file(b"1")),
            ("a", file(b"2")),
            ("d/", directory()),
            ("d/in", file(b"3")),
            ("d", file(b"4")),
            ("s", symlink("a")),
            ("s/", directory(mode=0o700)),
            ("s/in", file(b"5")),
            ("h", hardlink("a")),
            ("h", hardlink("a")),
        ]
    )
    assert (root / "a").read_bytes() == b"2"
    assert (root / "d").read_bytes() == b"4"
    assert (root / "s/in").read_bytes() == b"5"
    assert (root / "h").stat().st_ino == (root / "a").stat().st_ino


def test_an_entry_through_a_link_lands_where_the_link_leads_in_the_layer(store: Store) -> None:
    root = store.unpack({"usr/lib/": directory(), "lib": symlink("/usr/lib"), "lib/a": b"1"})
    assert (root / "usr/lib/a").read_bytes() == b"1"


def test_long_and_odd_names_are_kept(store: Store) -> None:
    names = ["x" * 255, "/".join(["d" * 100] * 12) + "/a", "line\nbreak", "ümläut", "back\\slash", " blank ", "-rf"]
    root = store.unpack({name: name.encode() for name in names})
    for name in names:
        assert (root / name).read_bytes() == name.encode()


def test_names_that_are_not_utf8_are_kept(store: Store) -> None:
    root = store.unpack(build_tar({"caf\udce9": b"1"}, format=tarfile.GNU_FORMAT))
    assert os.listdir(os.fsencode(root)) == [b"caf\xe9"]


@pytest.mark.parametrize(
    "format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "gnu", "pax"]
)
def test_every_form_of_tar_gives_the_same(store: Store, format: int) -> None:
    long_name = "/".join(["directory"] * 15) + "/file"
    root = store.unpack(build_tar({long_name: file(b"1", mode=0o600), "s": symlink("t" * 90)}, format=format))
    assert (root / long_name).read_bytes() == b"1"
    assert os.readlink(root / "s") == "t" * 90


def test_a_tar_of_gnus_own_tar_is_read(store: Store, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / ("n" * 120)).mkdir(parents=True)
    (tree / ("n" * 120) / "file").write_bytes(b"z" * 5000)
    (tree / "link").symlink_to("l" * 150)
    process = DirectLauncher().spawn(["/bin/tar", "-cf", str(tmp_path / "t"), "-C", str(tree), "."], env={})
    assert process.wait(timeout=20) == 0
    root = store.unpack((tmp_path / "t").read_bytes())
    assert (root / ("n" * 120) / "file").stat().st_size == 5000
    assert os.readlink(root / "link") == "l" * 150


def test_an_old_tar_without_magic_is_read(store: Store) -> None:
    member = tarfile.TarInfo("a")
    member.size = 3
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[257:512] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    root = store.unpack(bytes(header) + b"abc".ljust(512, b"\0") + bytes(1024))
    assert (root / "a").read_bytes() == b"abc"


def test_large_numbers_in_base_256_are_read(store: Store) -> None:
    root = store.unpack(build_tar({"a": file(b"1", uid=3_000_000, mtime=-5)}, format=tarfile.GNU_FORMAT))
    assert (root / "a").stat().st_uid == 3_000_000
    assert (root / "a").stat().st_mtime == -5


def test_content_that_spans_many_pieces_is_whole(store: Store) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)
    root = store.unpack({"a": content, "b": b"after"})
    assert (root / "a").read_bytes() == content
    assert (root / "b").read_bytes() == b"after"


def test_an_empty_archive_is_an_empty_layer(store: Store) -> None:
    assert os.listdir(store.unpack(build_tar({}))) == []


def test_an_archive_without_its_end_blocks_is_read(store: Store) -> None:
    buffer = io.BytesIO(build_tar({"a": b"1"}))
    assert (store.unpack(buffer.getvalue()[:1024]) / "a").read_bytes() == b"1"


class TestWithOneIdOnly:
    """As a user without subordinate ids: no devices, one owner."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(tmp_path / "store", launcher=UserNamespaceLauncher, rootless=True)

    def test_devices_are_left_out_with_a_note(self, store: Store) -> None:
        root = store.unpack({"dev/": directory(), "dev/null": character_device(1, 3), "pipe": fifo()})
        assert os.listdir(root / "dev") == []
        assert stat.S_ISFIFO((root / "pipe").lstat().st_mode)
        assert [text for text in store.messages.texts if "1 device nodes left out" in text]

    def test_whiteouts_and_opaque_directories_work(self, store: Store) -> None:
        root = store.unpack({".wh.gone": b"", "d/": directory(), "d/.wh..wh..opq": b""})
        assert is_whiteout(root / "gone")
        assert os.getxattr(root / "d", "user.overlay.opaque") == b"y"

    def test_foreign_owners_become_root_without_set_uid_bits_and_with_a_note(self, store: Store) -> None:
        root = store.unpack({"a": file(b"x", uid=70, gid=70, mode=0o4755), "b": file(b"y", mode=0o4755)})
        assert ((root / "a").stat().st_uid, stat.S_IMODE((root / "a").stat().st_mode)) == (0, 0o755)
        assert stat.S_IMODE((root / "b").stat().st_mode) == 0o4755
        assert [text for text in store.messages.texts if "belong to root instead" in text]
