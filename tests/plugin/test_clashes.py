"""Others that have a fixture `container` or `pod` too: a conftest file on purpose, another plugin by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures_store import BUSYBOX

OTHER_PLUGIN = """
import pytest

def pytest_configure(config):
    config.addinivalue_line("markers", "theirs: of the other plugin")

@pytest.fixture
def container():
    return "theirs"

@pytest.fixture
def pod():
    return "theirs"
"""

MARKED = f"""
import pytest

@pytest.mark.container({BUSYBOX!r}, ["sleep", "1000"], network="none")
def test_marked(container):
    assert container != "theirs"
"""


@pytest.fixture
def other_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with a plugin of pytest is installed, which has the fixtures `container` and `pod`."""
    site = pytester.mkdir("site-packages")
    (site / "other_plugin.py").write_text(OTHER_PLUGIN)
    info = site / "pytest_other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nother = other_plugin\n")
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")


@pytest.mark.usefixtures("store", "other_plugin")
def test_fixture_of_another_plugin_is_reported_with_the_way_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MARKED + "\ndef test_again(container, request): ...\n")
    result = pytester.runpytest_subprocess("-k", "marked")
    result.assert_outcomes(passed=1, deselected=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*PodsWarning: two plugins have a fixture container: that of pytest-pods is used, not that of"
            " site-packages/other_plugin.py:*; pods_fixture_prefix = our_ in the ini file renames that of pytest-pods"
            " to our_container"
        ]
    )


@pytest.mark.usefixtures("other_plugin")
def test_fixture_of_another_plugin_is_an_error_of_collection_where_warnings_are_errors(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_one(pod): ...\ndef test_two(): ...")
    result = pytester.runpytest_subprocess("-W", "error", "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*InvalidMarkerError: two plugins have a fixture pod: *"])


@pytest.mark.usefixtures("other_plugin")
def test_fixture_of_another_plugin_that_no_test_asks_for_is_no_matter(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): ...")
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1, warnings=0)


@pytest.mark.usefixtures("store", "other_plugin")
def test_prefix_lets_both_be_used(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npods_fixture_prefix = our_\n")
    pytester.makepyfile(
        f"""
        import pytest
        SLEEP = dict(image={BUSYBOX!r}, command=["sleep", "1000"], network="none")

        @pytest.mark.container(**SLEEP)
        def test_both(container, our_container):
            assert container == "theirs"
            assert our_container.status == "running"

        @pytest.mark.pod(web=dict(image={BUSYBOX!r}, command=["sleep", "1000"]), network="none")
        def test_pod(pod, our_pod):
            assert pod == "theirs"
            assert our_pod["web"].running

        @pytest.mark.container("theirs, which nothing of ours reads", sizes=[1])
        def test_their_mark(container):
            assert container == "theirs"

        def test_factories(our_run_container, our_run_pod, our_make_network, our_make_volume, our_pods):
            network, volume = our_make_network(), our_make_volume()
            assert network in our_pods.networks()
            assert volume in our_pods.volumes()

        def test_plain_names_are_not_ours(request):
            for name in ("run_container", "run_pod", "make_network", "make_volume", "pods"):
                with pytest.raises(pytest.FixtureLookupError):
                    request.getfixturevalue(name)
        """
    )
    pytester.runpytest_subprocess("-W", "error", "-rA").assert_outcomes(passed=5)


@pytest.mark.usefixtures("store")
def test_own_fixture_that_asks_for_ours_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import pytest\n\n@pytest.fixture\ndef container(container):\n    return [container]\n")
    pytester.makepyfile(MARKED + "    assert container[0].running\n")
    pytester.runpytest("-W", "error").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("name", "own", "used"),
    [
        ("container", "@pytest.fixture\ndef container(): ...", "that of conftest.py:4"),
        ("container", 'container = container_fixture("x")', "one that is declared with this name (A container of x.)"),
        ("pod", "@pytest.fixture\ndef pod(): ...", "that of conftest.py:4"),
    ],
    ids=["container", "declared", "pod"],
)
def test_mark_of_no_effect_beside_an_own_fixture_is_an_error_of_collection(
    pytester: pytest.Pytester, name: str, own: str, used: str
) -> None:
    pytester.makeconftest(f"import pytest\nfrom pytest_pods import container_fixture\n\n{own}\n")
    pytester.makepyfile(
        test_it=f"import pytest\n@pytest.mark.{name}(web=dict(image='x'))\ndef test_one({name}): ...\n"
        f"def test_two({name}): ...\n"
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            f"test_it.py::test_one: InvalidMarkerError: @pytest.mark.{name} has no effect: the fixture {name} of this"
            f" test is not that of pytest-pods, but {used}",
            f"hint: pods_fixture_prefix = our_ in the ini file renames that of pytest-pods to our_{name}, or *",
        ]
    )


@pytest.mark.usefixtures("store")
def test_report_and_hooks_know_the_fixtures_by_their_names(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makeconftest(
        "def pytest_pods_container_ready(container, fixture):\n    print('ready by', fixture)\n"
    )
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.container({BUSYBOX!r}, ["sleep", "1000"], network="none")
        def test_one(our_container, our_pods):
            our_pods.run({BUSYBOX!r}, ["sleep", "1000"], network="none", name="by-engine")
            assert False
        """
    )
    result = pytester.runpytest("--pods-fixture-prefix=our_")
    result.stdout.fnmatch_lines(["busybox: running since *", "by-engine: running since *"], consecutive=False)
    result.stdout.fnmatch_lines(["ready by our_container"])
    result.stdout.no_fnmatch_line("*fixture our_*")


@pytest.mark.parametrize("prefix", ["our-", "pytest_", "1"])
def test_prefix_that_no_name_can_begin_with_is_refused(pytester: pytest.Pytester, prefix: str) -> None:
    result = pytester.runpytest(f"--pods-fixture-prefix={prefix}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--pods-fixture-prefix={prefix}: it has to be the beginning of a name, *"])
