"""Volumes through the factory, declared fixtures and marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import VolumeMount, container_fixture, volume_fixture

BUSYBOX = {BUSYBOX!r}
IDLE = ["sleep", "1000"]
"""


def make_suite(pytester: pytest.Pytester, text: str, **files: str) -> None:
    pytester.makepyfile(test_it=HEAD + text, **{name: HEAD + content for name, content in files.items()})


def test_made_volume_has_its_content_and_is_gone_for_the_next_test(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def test_one(make_volume, run_container, pods):
    volume = make_volume(content={"init.sql": "select 1"})
    container = run_container(BUSYBOX, IDLE, volumes={"/seed": volume}, network="none")
    assert container.read("/seed/init.sql") == b"select 1"
    assert [user.id for user in volume.users()] == [container.id]

def test_two(pods):
    pods._service.lifecycle.await_removals()
    assert pods.volumes() == []
""",
    )
    pytester.runpytest().assert_outcomes(passed=2)


@pytest.mark.parametrize("order", ["make_volume, run_container", "run_container, make_volume"])
def test_volume_goes_after_its_containers_whichever_fixture_ends_first(pytester: pytest.Pytester, order: str) -> None:
    make_suite(
        pytester,
        f"""
@pytest.mark.parametrize("number", range(3))
def test_one({order}, number):
    volume = make_volume("always-the-same", content={{"number": str(number)}})
    container = run_container(BUSYBOX, IDLE, volumes=[f"{{volume}}:/v"], network="none")
    assert container.read("/v/number") == str(number).encode()

def test_end(pods):
    pods._service.lifecycle.await_removals()
    assert (pods.volumes(), pods.containers()) == ([], [])
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=4)
    result.stdout.no_fnmatch_line("*left*")


def test_volume_of_kept_containers_stays_and_gives_way_to_one_of_its_name(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.parametrize("number", range(2))
def test_fails(make_volume, run_container, number):
    volume = make_volume("data")
    run_container(BUSYBOX, IDLE, volumes=[volume.at("/v")], network="none")
    volume.write("number", str(number))
    assert False

def test_other(pods):
    pods._service.lifecycle.await_removals()
    assert pods.volume("data").read("number") == b"1"
    assert len(pods.containers()) == 1
""",
    )
    pytester.runpytest("--pods-keep").assert_outcomes(failed=2, passed=1)
    from pytest_pods.engine.api import Engine

    (session,) = Engine.sessions(_root())
    with Engine.attach(session.id, root=_root()) as engine:
        assert engine.volume("data").read("number") == b"1"
        engine.end()


def _root() -> Path:
    import os

    return Path(os.environ["PYTEST_PODS_ROOT"])


def test_declared_volume_lives_as_long_as_its_scope(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
shared = volume_fixture(scope="module")
named = volume_fixture("named", content={"a": "b"}, labels={"x": "y"})
container = container_fixture(lambda shared: {"image": BUSYBOX, "command": IDLE, "network": "none",
                                              "volumes": {"/s": shared}})

class TestInside:
    own = volume_fixture(content={"own": "1"}, scope="class")

    def test_own(self, own):
        assert own.read("own") == b"1"

    def test_one(self, container, named):
        container.succeed("echo one > /s/file")
        assert (named.name, named.labels, named.read("a")) == ("named", {"x": "y"}, b"b")

def test_two(container):
    assert container.succeed("cat /s/file") == "one\\n"
""",
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_mark_takes_volumes_and_mounts(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, IDLE, network="none", volumes=["data:/d", "/own"], mounts=[VolumeMount(None, "/e")])
def test_one(container, pods):
    container.succeed("touch /d/x /e/x /own/x")
    assert sorted(volume.anonymous for volume in pods.volumes()) == [False, True, True]
""",
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_wrong_volumes_are_named_where_they_are_asked_for(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def test_content(make_volume):
    make_volume(content={"../x": "y"})

def test_name(make_volume):
    make_volume("data")
    make_volume("data")
""",
        test_mark="""
@pytest.mark.container(BUSYBOX, volumes=["data:/d:quick"])
def test_mark(container):
    pass
""",
    )
    result = pytester.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*InvalidSpecError: content: '../x' is not a plain relative path*",
            "*NameInUseError: there is a volume data already*",
            "*unknown option 'quick'*",
        ]
    )


def test_wrong_declaration_is_an_error_where_it_stands(pytester: pytest.Pytester) -> None:
    make_suite(pytester, "wrong = volume_fixture('a/b')\ndef test_it(wrong): pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*InvalidNameError: invalid name 'a/b'*"])
