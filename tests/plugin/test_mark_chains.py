"""Marks that add to others, run a test with several images, and take other fixtures: in runs with real containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_image

pytestmark = pytest.mark.usefixtures("store", "second_image")

OTHER = "localhost/busybox:other"

HEAD = f"""
import pytest
from pytest_pods import container_fixture, pod_fixture, waits

BUSYBOX = {BUSYBOX!r}
OTHER = {OTHER!r}
SLEEP = ["sleep", "1000"]
"""


@pytest.fixture(scope="module")
def second_image(image_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The store that tests share has another image for as long as this module runs."""
    archive = busybox_image().write_docker_archive(tmp_path_factory.mktemp("other") / "other.tar", names=[OTHER])
    with Engine.open(root=image_store) as engine:
        engine.load(archive)
        yield
        engine.remove_image(OTHER)


def make_suite(pytester: pytest.Pytester, text: str, **files: str) -> None:
    pytester.makepyfile(test_it=HEAD + text, **{name: HEAD + content for name, content in files.items()})


def list_tests(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", *arguments)
    return [line.partition("::")[2] for line in result.outlines if "::" in line]


EXTENDED = """
pytestmark = pytest.mark.container(BUSYBOX, SLEEP, env={"PLACE": "module", "MODULE": "1"}, network="none")

@pytest.mark.container(env={"PLACE": "base"}, extend=True)
class Base:
    def test_base(self, container):
        assert container.succeed("echo $PLACE $MODULE") == "base 1\\n"

@pytest.mark.container(env={"PLACE": "derived"}, extend=True)
class TestDerived(Base):
    def test_base(self, container):
        assert container.succeed("echo $PLACE $MODULE") == "derived 1\\n"

    @pytest.mark.container(env={"PLACE": "function"}, user="1000", extend=True)
    def test_function(self, container):
        assert container.succeed("echo $PLACE $MODULE $(id -u)") == "function 1 1000\\n"

    @pytest.mark.container(BUSYBOX, SLEEP, network="none")
    def test_without(self, container):
        assert container.succeed("echo $PLACE $MODULE") == "\\n"

    @pytest.mark.parametrize("place", [
        pytest.param("set", marks=pytest.mark.container(env={"PLACE": "set"}, extend=True)), "derived",
    ])
    def test_set(self, container, place):
        assert container.succeed("echo $PLACE $MODULE") == f"{place} 1\\n"
"""


def test_marks_add_to_those_further_out(pytester: pytest.Pytester) -> None:
    make_suite(pytester, EXTENDED)
    pytester.runpytest().assert_outcomes(passed=5)


def test_mark_that_extends_nothing_is_an_error_of_collection(pytester: pytest.Pytester) -> None:
    make_suite(pytester, "@pytest.mark.container(env={}, extend=True)\ndef test_one(container): ...")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["test_it.py::test_one: InvalidMarkerError: @pytest.mark.container has extend=True, and there is no mark *"]
    )


def test_members_are_added_to_the_pod_of_a_file(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".yaml",
        shop=f"""
apiVersion: v1
kind: Pod
metadata: {{name: shop}}
spec:
  containers:
  - {{name: web, image: {BUSYBOX}, command: [sleep, "1000"], env: [{{name: A, value: file}}]}}
""",
    )
    make_suite(
        pytester,
        """
pytestmark = pytest.mark.pod(kube="shop.yaml", network="none")

@pytest.mark.pod(web=dict(env={"B": "mark"}), more=dict(image=BUSYBOX, command=SLEEP), extend=True)
def test_more(pod):
    assert list(pod) == ["web", "more"]
    assert pod["web"].succeed("echo $A $B") == "file mark\\n"

@pytest.mark.pod(networks=["default"], extend=True)
def test_network(pod): ...
""",
    )
    result = pytester.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*: @pytest.mark.pod: networks cannot be added to the pod of a file, *"])


IMAGES = """
seen = []

@pytest.mark.container(images=[BUSYBOX, OTHER], command=SLEEP, network="none")
class TestCache:
    def test_cache(self, container):
        seen.append(container.image)

    @pytest.mark.container(BUSYBOX, extend=True)
    def test_one(self, container): ...

    def test_nothing(self): ...

def test_both():
    assert sorted(seen) == [BUSYBOX, OTHER]
"""


def test_test_runs_once_with_each_image(pytester: pytest.Pytester) -> None:
    make_suite(pytester, IMAGES)
    assert list_tests(pytester) == [
        f"TestCache::test_cache[{BUSYBOX}]",
        f"TestCache::test_cache[{OTHER}]",
        "TestCache::test_one",
        "TestCache::test_nothing",
        "test_both",
    ]
    pytester.runpytest().assert_outcomes(passed=5)
    assert list_tests(pytester, "-k", "busybox:other") == [f"TestCache::test_cache[{OTHER}]"]


def test_runs_with_several_images_are_spread_and_repeated_as_others_are(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(images=[BUSYBOX, OTHER], command=SLEEP, network="none")
def test_cache(container):
    assert container.image == BUSYBOX
""",
    )
    pytester.runpytest_subprocess("-n2").assert_outcomes(passed=1, failed=1)
    result = pytester.runpytest("--lf", "-v")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*test_cache[[]{OTHER}[]] FAILED*"])


def test_images_of_members_and_parameters_are_combined(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.pod(
    db=dict(images=[BUSYBOX, OTHER], command=SLEEP),
    containers={"ports": dict(images=["a:1", "b:2"]), "web": dict(image=BUSYBOX)},
    network="none",
)
@pytest.mark.parametrize("number", [1])
def test_shop(pod, number): ...

@pytest.mark.pod(db=dict(images=[BUSYBOX, OTHER], command=SLEEP), web=dict(image=BUSYBOX, command=SLEEP))
def test_run(pod):
    assert pod["db"].image != OTHER
    assert pod["web"].image == BUSYBOX
""",
    )
    assert list_tests(pytester, "-k", "shop") == [
        f"test_shop[1-{one}-{other}]" for one in (BUSYBOX, OTHER) for other in ("a:1", "b:2")
    ]
    result = pytester.runpytest("-k", "test_run", "-v")
    result.stdout.fnmatch_lines([f"*test_run[[]{BUSYBOX}[]] PASSED*", f"*test_run[[]{OTHER}[]] FAILED*"])


def test_images_that_come_too_late_are_refused_by_name(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container("function")
@pytest.mark.parametrize("one", [pytest.param(1, marks=pytest.mark.container(images=["set"])), 2])
def test_set(container, one): ...

@pytest.mark.container(images=["function"])
@pytest.mark.parametrize("one", [pytest.param(1, marks=pytest.mark.container("set"))])
def test_function(container, one): ...

@pytest.mark.container(images=["function"])
def test_late(request):
    with pytest.raises(pytest.fail.Exception, match="of a test that asks for it only while it runs"):
        request.getfixturevalue("container")
""",
    )
    result = pytester.runpytest("--continue-on-collection-errors", "-k", "late")
    result.assert_outcomes(errors=2, passed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "*test_set[[]1[]]: InvalidMarkerError: *: images in a mark of a parameter set, *",
            "*test_function[[]*[]]: InvalidMarkerError: *: the test runs with each of several images, and *",
        ]
    )


def test_declared_fixture_with_several_images_is_made_once_for_each_in_its_scope(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
cache = container_fixture(images=[BUSYBOX, OTHER], command=SLEEP, network="none", scope="module")
shop = pod_fixture(db=dict(images=[BUSYBOX, OTHER], command=SLEEP), network="none")
seen = []

def test_one(cache):
    seen.append(cache.id)

def test_two(cache):
    seen.append(cache.id)

def test_shop(shop):
    assert shop["db"].succeed("echo hi") == "hi\\n"

def test_end():
    assert len(seen) == 4
    assert len(set(seen)) == 2
""",
    )
    tests = list_tests(pytester)
    assert f"test_one[{OTHER}]" in tests
    assert f"test_shop[{BUSYBOX}]" in tests
    pytester.runpytest().assert_outcomes(passed=7)


FUNCTIONS = """
import itertools

numbers = itertools.count()

@pytest.fixture(scope="module", params=["one", "two"])
def flavour(request):
    return request.param

@pytest.fixture
def number(flavour):
    yield next(numbers)

def describe(number, flavour, more="1"):
    return {"image": BUSYBOX, "command": SLEEP, "network": "none", "env": {"FLAVOUR": flavour}}

@pytest.mark.container(spec=describe)
class TestIt:
    def test_it(self, container, flavour):
        assert container.succeed("echo $FLAVOUR") == f"{flavour}\\n"

    @pytest.mark.container(env={"MORE": "function"}, extend=True)
    def test_more(self, container):
        assert container.succeed("echo $MORE") == "function\\n"

    def test_nothing(self, request):
        assert "flavour" not in request.fixturenames

def describe_pod(number):
    return {"web": {"image": BUSYBOX, "command": ["sleep", str(1000 + number)]}, "network": "none"}

@pytest.mark.pod(spec=describe_pod)
def test_pod(pod, number):
    assert pod["web"].spec.command == ("sleep", str(1000 + number))
"""


def test_functions_in_marks_take_other_fixtures(pytester: pytest.Pytester) -> None:
    make_suite(pytester, FUNCTIONS)
    pytester.runpytest().assert_outcomes(passed=7)


def test_fixtures_of_functions_in_marks_belong_to_their_tests_alone(pytester: pytest.Pytester) -> None:
    make_suite(pytester, FUNCTIONS)
    assert sorted(list_tests(pytester)) == [
        "TestIt::test_it[one]",
        "TestIt::test_it[two]",
        "TestIt::test_more[one]",
        "TestIt::test_more[two]",
        "TestIt::test_nothing",
        "test_pod[one]",
        "test_pod[two]",
    ]
    result = pytester.runpytest("--setup-plan", "-k", "test_it")
    result.stdout.fnmatch_lines(["*SETUP    M flavour*", "*SETUP    F number*", "*SETUP    F container*"])
    result.stdout.no_fnmatch_line("*Error*")


def test_container_of_a_function_ends_before_the_fixtures_that_it_took(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.fixture
def network(make_network, request):
    yield make_network()
    assert request.config.removed.pop() == "container"

@pytest.mark.container(spec=lambda network: {"image": BUSYBOX, "command": SLEEP, "networks": [network]})
@pytest.mark.parametrize("one", [
    pytest.param(1, marks=pytest.mark.container(spec=lambda network: {"networks": [network]}, extend=True)),
    2,
])
def test_one(container, one):
    assert container.ip
""",
        conftest="""
removed = []

def pytest_configure(config):
    config.removed = removed

def pytest_pods_before_remove(fixture):
    removed.append(fixture)
""",
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_scope_of_a_declared_fixture_may_be_found_when_the_run_begins(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
seen = set()

def choose(fixture_name, config):
    assert fixture_name == "cache"
    return "module" if config.getoption("verbose") else "function"

cache = container_fixture(BUSYBOX, SLEEP, network="none", scope=choose)

@pytest.mark.parametrize("number", [1, 2])
def test_one(cache, number):
    seen.add(cache.id)

def test_end(request):
    assert len(seen) == (1 if request.config.getoption("verbose") else 2)
""",
    )
    pytester.runpytest().assert_outcomes(passed=3)
    pytester.runpytest("-v").assert_outcomes(passed=3)
