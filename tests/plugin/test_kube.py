"""Pods of files for Kubernetes: the mark, the factory, declared fixtures, and the engine itself."""

from __future__ import annotations

import os
import shutil
import urllib.request
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import InvalidSpecError, PodFailedError, PodsWarning
from pytest_pods.engine.kube.reading import parse_kube
from tests.support.fixtures_store import BUSYBOX

EXAMPLE = Path(__file__).parents[2] / "examples/shop.yaml"


def fetch(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        text: str = response.read().decode()
    return text


def sleeper(name: str, *, labels: str = "{}", more: str = "") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec:
  containers:
    - name: main
      image: {BUSYBOX}
      command: [sleep, "1000"]
      {more}
"""


@pytest.mark.usefixtures("store")
def test_mark_factory_and_declared_fixture_give_the_pod_of_a_file(pytester: pytest.Pytester) -> None:
    pytester.mkdir("suite")
    shutil.copy(EXAMPLE, pytester.path / "suite/shop.yaml")
    (pytester.path / "suite/conftest.py").write_text(
        "from pytest_pods import pod_fixture\n"
        "shop = pod_fixture(kube='shop.yaml', name='declared', network='none', scope='session')\n"
        "returned = pod_fixture(lambda: {'kube': 'shop.yaml', 'network': 'none', 'name': 'returned'})\n"
    )
    (pytester.path / "suite/test_it.py").write_text(
        """
import urllib.request
import pytest

def check(pod):
    assert list(pod) == ["prepare", "web", "client"]
    assert urllib.request.urlopen(pod.url(8080, "/index.html")).read() == b"welcome to the shop\\n"
    assert pod["client"].succeed("wget -qO- $SHOP/health") == "ok\\n"
    assert pod["web"].exec("touch /data/new").exit_code != 0

@pytest.mark.pod(kube="shop.yaml", network="none")
def test_mark(pod):
    assert pod.name == "shop"
    check(pod)

def test_factory(run_pod, pods):
    assert pods.pods() == []
    check(run_pod(kube="shop.yaml", network="none"))

def test_declared(shop):
    assert shop.name == "declared"
    check(shop)

def test_returned(returned):
    check(returned)
"""
    )
    result = pytester.runpytest_subprocess("suite/test_it.py")
    result.assert_outcomes(passed=4)


@pytest.mark.usefixtures("store")
def test_wrong_file_is_an_error_of_collection_that_names_the_line(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", wrong=sleeper("one", more="imagee: x"))
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pod(kube="wrong.yaml")
        def test_it(pod): ...

        @pytest.mark.pod(kube="missing.yaml")
        def test_missing(pod): ...

        @pytest.mark.pod(kube="wrong.yaml", web=dict(image="x"))
        def test_member(pod): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "*InvalidMarkerError: @pytest.mark.pod: *wrong.yaml:9: spec.containers?0?.imagee is not known here*",
            "*InvalidMarkerError: @pytest.mark.pod: reading *missing.yaml: No such file or directory*",
            "*InvalidMarkerError: @pytest.mark.pod: 'web' beside kube: the members of the pod are those of the file*",
        ]
    )


@pytest.mark.usefixtures("store")
def test_what_has_no_effect_is_a_warning_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", live=sleeper("one", more="lifecycle: {}"))
    pytester.makepyfile(
        "import pytest\n\n@pytest.mark.pod(kube='live.yaml', network='none')\ndef test_it(pod):\n    assert pod\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PodsWarning: *live.yaml:9: spec.containers?0?.lifecycle has no effect*"])


def test_volumes_of_a_pod_are_shared_by_its_containers_and_go_with_it(engine: Engine) -> None:
    (pod,) = engine.play_kube(EXAMPLE, network="none")
    client, web = pod["client"], pod["web"]
    assert client.succeed("df -k /cache | tail -1 | awk '{print $2}'").strip() == "8192"
    assert client.succeed("stat -c %a /cache").strip() == "777"
    assert web.succeed("cat /data/health") == "ok\n"
    places = {mount.source for one in (client, web) for mount in one.record.mounts if hasattr(mount, "source")}
    assert len(places) == 2
    pod.remove()
    assert [place for place in places if os.path.exists(place)] == []


def test_document_of_a_running_pod_is_read_back_to_the_same_pod(engine: Engine) -> None:
    (pod,) = engine.play_kube(EXAMPLE, network="none")
    spec = pod.spec
    assert spec is not None
    (again,) = parse_kube((pod.kube_document().encode(), "again.yaml")).pods
    assert again == spec.with_changes(network=again.network)
    # As its records tell of it.
    (found,) = parse_kube((engine.pod("shop").kube_document().encode(), "found.yaml")).pods
    assert [one.name for one in found.members] == ["prepare", "web", "client"]
    for one in found.members:
        assert one.container == again.member(one.name).container
    assert found.own_volumes == again.own_volumes
    assert found.restart == again.restart


def test_pods_of_a_file_know_each_other_and_their_services_by_name(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    web = sleeper("web", labels="{app: web}").replace(
        'command: [sleep, "1000"]', 'command: [sh, -c, "mkdir /w; echo hi > /w/x; httpd -f -p 80 -h /w"]'
    )
    service = "kind: Service\nmetadata: {name: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
    probe = "      readinessProbe: {exec: {command: [wget, -qO-, 'http://shop/x']}}\n"
    file.write_text("---\n".join([sleeper("client") + probe, web, service]))
    client, served = engine.play_kube(file)
    assert client["main"].succeed("wget -qO- http://web/x") == "hi\n"
    assert served.status == "running"


def test_pod_that_does_not_come_up_leaves_none_of_its_file(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    bad = sleeper("bad", more="readinessProbe: {tcpSocket: {port: 80}}")
    bad = bad.replace('[sleep, "1000"]', '[sh, -c, "exit 3"]')
    file.write_text(f"{sleeper('good')}---\n{bad}")
    with pytest.raises(PodFailedError) as caught:
        engine.play_kube(file, network="none")
    assert caught.value.exit_code == 3
    assert engine.pods() == []
    assert engine.containers() == []


def test_claim_outlives_its_pod(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    claim = "kind: PersistentVolumeClaim\nmetadata: {name: items, labels: {tier: data}}\n"
    mount = (
        "volumeMounts: [{name: data, mountPath: /data}]\n"
        "  volumes: [{name: data, persistentVolumeClaim: {claimName: items}}]"
    )
    file.write_text(f"{claim}---\n{sleeper('one', more=mount)}")
    for expected in ("", "kept\n"):
        (pod,) = engine.play_kube(file, network="none")
        assert pod["main"].succeed("cat /data/file || true") == expected
        pod["main"].succeed("echo kept > /data/file")
        pod.remove()
    assert engine.volume("items").labels == {"tier": "data"}


def test_probes_are_awaited_one_after_the_other(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    more = """startupProbe: {exec: {command: [test, -e, /started]}}
      readinessProbe: {httpGet: {path: /x, port: 80}, successThreshold: 3}"""
    script = "mkdir /w; echo hi > /w/x; sleep 0.2; touch /started; httpd -f -p 80 -h /w"
    file.write_text(sleeper("one", more=more).replace('[sleep, "1000"]', f'[sh, -c, "{script}"]'))
    (pod,) = engine.play_kube(file, network="none")
    assert pod["main"].exists("/started")
    pod["main"].connect(80).close()


def test_one_of_several_pods_is_chosen_by_name(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(f"{sleeper('a')}---\n{sleeper('b')}")
    assert engine.run_pod(kube=file, kube_pod="b", network="none").name == "b"
    with pytest.raises(InvalidSpecError, match=r"has 2 pods: a, b"):
        engine.run_pod(kube=file)
    with pytest.raises(InvalidSpecError, match=r"has no pod 'c'"):
        engine.run_pod(kube=file, kube_pod="c")


def test_play_warns_of_what_has_no_effect(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(sleeper("one", more="lifecycle: {preStop: {exec: {command: [x]}}}"))
    with pytest.warns(PodsWarning, match=r"pods\.yaml:10: spec\.containers\[0\]\.lifecycle has no effect"):
        engine.play_kube(file, network="none", start=False)


def lively(policy: str) -> str:
    probe = "livenessProbe: {exec: {command: [sh, -c, 'test ! -e /bad']}, periodSeconds: 1, failureThreshold: 1}"
    return sleeper("one", more=probe).replace("spec:\n", f"spec:\n  {policy}\n")


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_liveness_probe_restarts_a_container_where_the_policy_says_so(
    engine: Engine, tmp_path: Path, policy: str
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(lively(f"restartPolicy: {policy}"))
    (pod,) = engine.play_kube(file, network="none")
    container = pod["main"]
    container.wait_ready(waits.healthy(), timeout=20)
    container.write("/bad", "")
    container.wait_until(lambda: container.state().restarts >= 1, timeout=30)
    container.wait_until(lambda: container.running and container.exec(["rm", "-f", "/bad"]).ok, timeout=30)
    container.wait_ready(waits.healthy(), timeout=30)


@pytest.mark.parametrize("policy", ["restartPolicy: Never", ""])
def test_liveness_probe_ends_a_container_that_is_not_to_be_restarted(
    engine: Engine, tmp_path: Path, policy: str
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(lively(policy))
    (pod,) = engine.play_kube(file, network="none")
    pod["main"].write("/bad", "")
    assert pod["main"].wait(30) == 137
    state = pod["main"].state()
    assert (state.restarting, state.restarts) == (False, 0)
    assert state.fault == "its health check has failed once, last with exit code 1; it was killed"


def test_pod_of_another_process_is_started_with_its_probes(image_store: Path, tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(sleeper("one", more="readinessProbe: {exec: {command: [test, -e, /ready]}}"))
    maker = Engine.open(root=image_store)
    maker.play_kube(file, network="none", start=False)
    session = maker.keep(60)
    maker.close()
    engine = Engine.attach(session, root=image_store, timeout=0.5)
    try:
        pod = engine.pod("one")
        with pytest.raises(PodFailedError, match="waited for command 'test -e /ready'"):
            pod.start()
        assert "readinessProbe" in pod.kube_document()
    finally:
        engine.end()
