"""Records of what processes share, and of what each has for itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import MissingProgramError, PodsError
from pytest_pods.engine.state.layout import SessionLayout
from pytest_pods.engine.state.things import (
    ThingFiles,
    ThingKey,
    ThingRecord,
    UserFile,
    describe_error,
    list_kept,
    list_keys,
    live_names,
    rebuild_error,
    settle,
    take_dead_users,
)


@pytest.fixture
def layout(tmp_path: Path) -> SessionLayout:
    return SessionLayout("0123456789ab", tmp_path, tmp_path / "scratch")


def test_record_comes_back_as_it_was_written(layout: SessionLayout) -> None:
    files = ThingFiles(layout, "key")
    assert files.find() is None
    record = settle(ThingRecord("pod", ("shop", "shop-web"), "shop", "run"), "failed", PodsError("no", hint="yes"))
    files.write(record)
    assert files.find() == record
    assert list_keys(layout) == ["key"]
    files.keep("test_a.py::test_one")
    assert files.kept_for == "test_a.py::test_one"
    files.forget()
    after: list[object] = [files.find(), files.kept_for, *list_keys(layout)]
    assert after == [None, None]
    files.close()


def test_record_that_cannot_be_read_is_none(layout: SessionLayout) -> None:
    files = ThingFiles(layout, "key")
    (layout.things_dir / "key.json").write_text("{}")
    assert files.find() is None
    files.close()


def test_keys_are_of_fixture_and_of_what_it_is_made_from() -> None:
    one, other = ThingKey.build("db", "redis:7"), ThingKey.build("db", "redis:6")
    assert (one.identity, one.digest == other.digest) == (other.identity, False)
    assert str(one).startswith(one.identity)


def test_user_that_has_ended_is_met_once_with_what_it_left(layout: SessionLayout) -> None:
    child = os.fork()
    if child == 0:
        user = UserFile(layout, "dead")
        user.note("db")
        user.note("web")
        user.note("web", owner="0123")
        os._exit(0)
    os.waitpid(child, 0)
    own = UserFile(layout, "own")
    own.note("mine")
    assert live_names(layout, own="own") == {"mine"}
    assert [user.removable for user in take_dead_users(layout, own="own")] == [{"db": "", "web": "0123"}]
    assert [*take_dead_users(layout, own="own")] == []
    own.close()
    assert [path.name for path in layout.users_dir.iterdir()] == []


def test_what_a_user_wants_to_stay_is_not_removed(layout: SessionLayout) -> None:
    user = UserFile(layout, "one")
    for name in ("db", "web"):
        user.note(name)
    user.note("db", keep=True)
    user.close()
    assert list_kept(layout) == {"db"}
    assert [user.removable for user in take_dead_users(layout, own="")] == [{"web": ""}]


@pytest.mark.parametrize(
    "error",
    [
        PodsError("brief", details="more", hint="a way out", temporary=True),
        MissingProgramError("runc is missing", hint="install runc"),
    ],
)
def test_error_is_the_same_in_another_process(error: PodsError) -> None:
    again = rebuild_error(describe_error(error))
    assert (type(again), str(again), again.temporary) == (type(error), str(error), error.temporary)


def test_error_of_an_unknown_kind_still_says_what_it_says() -> None:
    for kind in ("SomethingElse", "Callable"):
        again = rebuild_error({**describe_error(PodsError("brief")), "kind": kind})
        assert (type(again), str(again)) == (PodsError, "brief")
