"""`image_fixture`: images of a registry and of archives, as fixtures that containers are made from."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import BuiltImage, build_tar, busybox_builder

pytestmark = pytest.mark.usefixtures("store")


def test_image_is_given_and_containers_take_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""
from pytest_pods import container_fixture, image_fixture

box = image_fixture({BUSYBOX!r}, pull="missing")

@image_fixture
def computed(name):
    return {{"image": name}}

@container_fixture
def idle(box):
    return {{"image": box, "command": ["sleep", "100"], "network": "none"}}

import pytest
@pytest.fixture(scope="session")
def name():
    return {BUSYBOX!r}
"""
    )
    pytester.makepyfile(
        test_it=f"""
def test_image(pods, box, computed):
    assert box.id == computed.id == pods.image({BUSYBOX!r}).id
    assert box.config.command == pods.image({BUSYBOX!r}).config.command

def test_containers(box, idle, run_container):
    assert idle.image_id == str(box.id)
    assert run_container(box, ["true"], network="none").image_id == str(box.id)
"""
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_archive_is_loaded_from_beside_the_declaration(pytester: pytest.Pytester, store: Path) -> None:
    directory = pytester.mkdir("images")
    image = busybox_builder().config(Env=["PATH=/bin", "FROM=archive"]).build()
    image.write_docker_archive(directory / "box.tar", names=["localhost/from-archive:1"])
    pytester.makepyfile(
        **{
            "images/conftest": "from pytest_pods import image_fixture\nbox = image_fixture(archive='box.tar')\n",
            "images/test_it": f"""
def test_archive(box, run_container):
    assert str(box.id) == {str(image.image_id)!r}
    assert run_container(box, ["sleep", "100"], network="none").succeed("echo $FROM") == "archive\\n"
""",
        }
    )
    pytester.runpytest().assert_outcomes(passed=1)
    with Engine.open(root=store) as pods:
        pods.remove_image("localhost/from-archive:1")


def test_archive_that_is_not_there_is_named(pytester: pytest.Pytester) -> None:
    make_suite_of_archive(pytester, "no-such.tar")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no-such.tar*"])


def test_archive_with_several_images_is_refused(pytester: pytest.Pytester, store: Path) -> None:
    images = [busybox_builder().config(Env=[f"N={number}"]).build() for number in range(2)]
    write_together(pytester.path / "two.tar", images)
    make_suite_of_archive(pytester, "two.tar")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ContentError: *two.tar has 2 images, and a fixture gives one", "hint: *"])
    with Engine.open(root=store) as pods:
        for image in images:
            pods.remove_image(str(image.image_id))


def write_together(path: Path, images: Iterable[BuiltImage]) -> None:
    """One docker-archive with all of them."""
    files: dict[str, bytes] = {}
    listing: list[object] = []
    for image in images:
        with tarfile.open(image.write_docker_archive(path)) as archive:
            members = {one.name: archive.extractfile(one) for one in archive.getmembers() if one.isfile()}
            files |= {name: content.read() for name, content in members.items() if content is not None}
        listing += json.loads(files["manifest.json"])
    path.write_bytes(build_tar({**files, "manifest.json": json.dumps(listing).encode()}))


def make_suite_of_archive(pytester: pytest.Pytester, archive: str) -> None:
    pytester.makepyfile(
        test_it=f"from pytest_pods import image_fixture\nbox = image_fixture(archive={archive!r})\n"
        "def test_archive(box): ...\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "*an image is one of a registry or one of an archive*"),
        ("'redis:7', archive='x.tar'", "*an image is one of a registry or one of an archive*"),
        ("7", "*an image has to be a reference such as 'redis:7', not 7*"),
        ("'redis:7', pul='always'", "*unknown argument 'pul' of an image*"),
        ("'redis:7', pull='sometimes'", "*pull*sometimes*"),
        ("archive='x.tar', pull='always'", "*pull belongs to an image of a registry*"),
        ("archive=7", "*archive has to be a path, not 7*"),
        ("lambda: 'redis:7', pull='always'", "*image_fixture got a function and 'pull'*"),
    ],
)
def test_mistake_is_told_where_the_fixture_is_declared(pytester: pytest.Pytester, arguments: str, message: str) -> None:
    pytester.makepyfile(
        test_it=f"from pytest_pods import image_fixture\nbox = image_fixture({arguments})\ndef test_it(box): ...\n"
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
