"""`remove` under attack: it takes what is in the tree, and nothing that only can be reached from there."""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.native.accounts import ordinary_user

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def remove(helper: Path, *paths: Path | str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Runs the program, from the directory of the test's own."""
    return subprocess.run(
        [*prefix, str(helper), "remove", *map(str, paths)],
        cwd=helper.parent,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env={},
    )


def check_removed(helper: Path, *paths: Path | str, prefix: Sequence[str] = ()) -> None:
    ran = remove(helper, *paths, prefix=prefix)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.fixture
def tree(place: Path) -> Path:
    path = place / "tree"
    path.mkdir()
    return path


@pytest.fixture
def canary(place: Path) -> Iterator[Path]:
    """A directory beside the tree, which must be as it was at the end."""
    path = place / "canary"
    (path / "below").mkdir(parents=True)
    (path / "below" / "file").write_text("alive")
    path.chmod(0o750)
    (path / "below").chmod(0o510)
    before = describe(path)
    yield path
    assert describe(path) == before
    (path / "below").chmod(0o700)


def describe(path: Path) -> list[tuple[str, int, int]]:
    found = []
    for one in [path, *sorted(path.rglob("*"))]:
        status = one.lstat()
        found.append((str(one), status.st_mode, status.st_uid))
    return found


def test_tree_of_everything_is_removed(helper: Path, tree: Path) -> None:
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "file").write_text("content")
    os.mkfifo(tree / "fifo")
    (tree / "dangling").symlink_to("/nowhere")
    (tree / "loop").symlink_to("loop")
    (tree / "parent").symlink_to("..")
    (tree / "itself").symlink_to(".")
    os.link(tree / "deep" / "er" / "file", tree / "hard")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tree / "socket"))
    if os.geteuid() == 0:
        os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    check_removed(helper, tree)
    assert not tree.exists()


def test_several_paths_are_removed_and_missing_ones_are_no_fault(helper: Path, place: Path) -> None:
    paths = [place / name for name in ("one", "two", "file")]
    for path in paths[:2]:
        path.mkdir()
    paths[2].touch()
    check_removed(helper, paths[0], place / "missing", paths[1], place / "missing" / "below", paths[2])
    assert [path for path in paths if path.exists()] == []


@pytest.mark.parametrize("written", ["{}", "{}/", "{}///", "tree", "./tree", "tree/", "canary/../tree"])
def test_path_may_be_written_in_many_ways(helper: Path, tree: Path, canary: Path, written: str) -> None:
    check_removed(helper, written.format(tree))
    assert not tree.exists()


@pytest.mark.parametrize("written", ["", "/", "//", ".", "..", "{}/.", "{}/..", "{}/../", "tree/./"])
def test_path_that_ends_in_no_name_is_refused(helper: Path, tree: Path, canary: Path, written: str) -> None:
    (tree / "file").touch()
    ran = remove(helper, written.format(tree))
    assert ran.returncode == 1
    assert "Invalid argument" in ran.stderr
    assert (tree / "file").exists()


def test_nothing_to_remove_is_a_wrong_call(helper: Path) -> None:
    ran = remove(helper)
    assert ran.returncode == 125
    assert "usage" in ran.stderr


def test_rest_is_removed_when_one_path_is_refused(helper: Path, tree: Path) -> None:
    assert remove(helper, "..", tree).returncode == 1
    assert not tree.exists()


@pytest.mark.parametrize("slash", ["", "/", "//"])
def test_path_that_is_a_link_is_removed_and_not_followed(helper: Path, place: Path, canary: Path, slash: str) -> None:
    link = place / "link"
    link.symlink_to(canary)
    check_removed(helper, f"{link}{slash}")
    assert not link.is_symlink()


def test_links_in_the_tree_are_removed_and_not_followed(helper: Path, tree: Path, canary: Path) -> None:
    (tree / "absolute").symlink_to(canary)
    (tree / "relative").symlink_to("../canary")
    (tree / "below").mkdir()
    (tree / "below" / "file").symlink_to(canary / "below" / "file")
    (tree / "below" / "up").symlink_to("../..")
    check_removed(helper, tree)
    assert not tree.exists()


def test_names_of_odd_bytes_are_removed(helper: Path, tree: Path) -> None:
    root = os.fsencode(tree)
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    names += [b"x" * 255, b"...", b"-rf", b"\xff\xfe", b".moved-0", b".moved-1", b"a\nb", "ü".encode()]
    for name in names:
        os.mkdir(root + b"/" + name)
        with open(root + b"/" + name + b"/" + name, "wb"):
            pass
    check_removed(helper, tree)
    assert not tree.exists()


def make_deep(top: Path, levels: int, name: str = "d") -> None:
    """Deeper than a path can say, so level by level."""
    here = os.open(top, os.O_PATH)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize("levels", [127, 128, 129, 1000])
def test_tree_deeper_than_descriptors_and_paths_reach_is_removed(helper: Path, tree: Path, levels: int) -> None:
    make_deep(tree, levels)
    (tree / ".moved-0").mkdir()
    (tree / ".moved-1").touch()
    check_removed(helper, tree, prefix=("prlimit", "--nofile=256"))
    assert not tree.exists()


def test_path_longer_than_the_kernel_takes_is_removed_by_its_short_beginning(helper: Path, tree: Path) -> None:
    make_deep(tree, 300, "x" * 255)
    check_removed(helper, tree)
    assert not tree.exists()


def test_wide_directory_is_removed(helper: Path, tree: Path) -> None:
    for number in range(1000):
        (tree / f"{number}").touch()
    check_removed(helper, tree)
    assert not tree.exists()


@pytest.mark.rootless
@pytest.mark.parametrize("levels", [2, 300])
def test_directories_without_permission_are_removed_by_their_owner(helper: Path, place: Path, levels: int) -> None:
    account = ordinary_user()
    top = place / "of-user"
    top.mkdir()
    make_deep(top, levels)
    subprocess.run(["chown", "-R", f"{account.uid}:{account.gid}", top], check=True)
    # From below, so that each can still be entered.
    subprocess.run(["find", ".", "-depth", "-execdir", "chmod", "0", "{}", ";"], cwd=top, check=True)
    check_removed(helper, top, prefix=account.prefix)
    assert not top.exists()


@pytest.mark.rootless
def test_what_belongs_to_somebody_else_stays_and_is_named(helper: Path, place: Path, canary: Path) -> None:
    account = ordinary_user()
    top = place / "of-user"
    (top / "own").mkdir(parents=True)
    subprocess.run(["chown", "-R", f"{account.uid}:{account.gid}", top], check=True)
    canary.rename(top / "foreign")
    try:
        ran = remove(helper, top, prefix=account.prefix)
        assert ran.returncode == 1
        assert "foreign" in ran.stderr
        assert (top / "foreign" / "below" / "file").read_text() == "alive"
    finally:
        (top / "foreign").rename(canary)


@pytest.mark.root
@pytest.mark.parametrize("attribute", ["+i", "+a"])
@pytest.mark.parametrize("what", ["file", "below", "."])
def test_files_that_are_protected_from_accidents_are_removed(
    helper: Path, tree: Path, attribute: str, what: str
) -> None:
    (tree / "below").mkdir()
    (tree / "below" / "file").touch()
    (tree / "file").touch()
    target = tree / what
    if subprocess.run(["chattr", attribute, target], capture_output=True).returncode != 0:
        pytest.skip("this file system has no attributes")
    check_removed(helper, tree)
    assert not tree.exists()


# ---- mounts ----

MOUNTS = {
    "a file system": "mount -t tmpfs tmpfs {tree}/mount; touch {tree}/mount/file",
    "another place of the same file system": "mount --bind {canary} {tree}/mount",
    "another place, deep": "mkdir {tree}/mount/deep; mount --bind {canary} {tree}/mount/deep",
    "a file": "touch {tree}/mount/file; mount --bind {canary}/below/file {tree}/mount/file",
    "a detached tree's root": "mount --bind {tree} {tree}",
    "everything": "mount --rbind / {tree}/mount",
}


@pytest.mark.root
@pytest.mark.parametrize("script", MOUNTS.values(), ids=MOUNTS)
def test_mounts_are_never_entered(helper: Path, tree: Path, canary: Path, script: str) -> None:
    (tree / "mount").mkdir()
    (tree / "file").touch()
    # In a mount namespace of its own, of which nothing comes out. The tree is seen through the mount as well.
    prepare = script.format(tree=tree, canary=canary)
    prefix = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-ec",
        f'PATH=/usr/sbin:/usr/bin:/sbin:/bin\n{prepare}\n"$@"',
        "sh",
    )
    ran = remove(helper, tree, prefix=prefix)
    assert ran.returncode == 1
    assert "mount" in ran.stderr or "busy" in ran.stderr
    assert (tree / "mount").exists()


@pytest.mark.root
def test_path_that_is_a_mount_point_is_not_emptied(helper: Path, tree: Path, canary: Path) -> None:
    script = f'mount --bind {canary} {tree}; "$@"'
    ran = remove(
        helper, tree, prefix=("unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec", script, "sh")
    )
    assert ran.returncode == 1
    assert "mount point" in ran.stderr
    assert tree.exists()


# ---- races ----


def exchange(one: Path, other: Path) -> None:
    """Swaps two names in one step, so that there is always something there."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == -1:
        raise OSError(ctypes.get_errno(), "renameat2")


@contextmanager
def racing(step: Callable[[], None]) -> Iterator[None]:
    """Repeats the step in a thread until it cannot be done any more."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                step()
            except OSError:
                # The tree, or this part of it, is gone for the moment.
                continue

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("swapped", ["a directory and a link", "a file and a directory", "a parent and a link"])
def test_what_changes_while_it_is_removed_never_leads_outside(
    helper: Path, tree: Path, canary: Path, swapped: str
) -> None:
    for _ in range(4):
        for number in range(30):
            (tree / f"victim-{number}" / "below").mkdir(parents=True, exist_ok=True)
            (tree / f"victim-{number}" / "below" / "file").touch()
            link = tree / f"link-{number}"
            if not link.is_symlink():
                link.symlink_to(canary)
        (tree / "plain").touch()

        def swap() -> None:
            for number in range(30):
                one = tree / f"victim-{number}"
                if swapped == "a directory and a link":
                    exchange(one, tree / f"link-{number}")
                elif swapped == "a file and a directory":
                    exchange(one, tree / "plain")
                else:
                    exchange(one / "below", tree / f"link-{number}")

        with racing(swap):
            # It may fail under attack; it must not do harm.
            remove(helper, tree)
            remove(helper, tree)
        check_removed(helper, tree)
        tree.mkdir()


def test_directory_that_is_filled_while_it_is_emptied_does_not_hold_up_the_end(helper: Path, tree: Path) -> None:
    numbers = itertools.count()

    def fill() -> None:
        # So few names that a fast thread cannot make a directory that takes minutes to read.
        (tree / f"{next(numbers) % 200}").mkdir()

    with racing(fill):
        assert remove(helper, tree).returncode in (0, 1)
    check_removed(helper, tree)


def test_directory_that_gets_a_last_entry_just_before_its_end_goes_all_the_same(helper: Path, tree: Path) -> None:
    below = tree / "below"
    put: list[int] = []

    def put_last() -> None:
        # Fewer than the rounds after which a directory that goes on filling is given up. It succeeds only when the
        # entry before has just been removed: between a look and the directory's end.
        if len(put) < 10:
            (below / "last").mkdir()
            put.append(len(put))

    for _ in range(50):
        below.mkdir(parents=True)
        put.clear()
        with racing(put_last):
            check_removed(helper, tree)
        assert not tree.exists()
    tree.mkdir()


def test_deep_directory_that_is_moved_out_while_it_is_removed_takes_nothing_with_it(
    helper: Path, tree: Path, canary: Path
) -> None:
    # A descriptor of a directory that was moved beside the canary must not be a way to what is now its parent.
    outside = canary.parent / "outside"
    for _ in range(5):
        make_deep(tree, 200)

        def move() -> None:
            (tree / "d" / "d").rename(outside)
            outside.rename(tree / "back")

        with racing(move):
            remove(helper, tree)
        check_removed(helper, tree, outside)
        tree.mkdir()


def test_two_removals_of_the_same_tree_leave_nothing(helper: Path, tree: Path) -> None:
    for number in range(200):
        (tree / f"{number}" / "below").mkdir(parents=True)
    argv = [str(helper), "remove", str(tree)]
    processes = [subprocess.Popen(argv, stderr=subprocess.PIPE, env={}) for _ in range(3)]
    for process in processes:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    assert not tree.exists()
