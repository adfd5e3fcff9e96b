"""`kube` on the command line: files for Kubernetes run, removed, and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.kube.reading import parse_kube
from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX

EXAMPLE = Path(__file__).parents[2] / "examples/shop.yaml"
POD = f"""
kind: PersistentVolumeClaim
metadata: {{name: items}}
---
kind: Pod
metadata: {{name: keeper}}
spec:
  containers:
    - name: main
      image: {BUSYBOX}
      command: [sh, -c, "exec sleep $TIME"]
      env: [{{name: TIME, valueFrom: {{configMapKeyRef: {{name: settings, key: time}}}}}}]
      volumeMounts: [{{name: data, mountPath: /data}}]
      lifecycle: {{}}
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: items}}}}]
"""
SETTINGS = "kind: ConfigMap\nmetadata: {name: settings}\ndata: {time: '1000'}\n"


def test_pod_of_a_file_runs_until_it_is_taken_down(cli: CommandLine) -> None:
    printed = cli.ok("kube", "play", "--network", "none", str(EXAMPLE)).splitlines()
    assert (printed[0], printed[2], len(printed)) == ("Pod:", "Containers:", 6)
    assert cli.ok("pod", "ps", "--format", "{{.Name}} {{.Status}}") == "shop Running"
    assert cli.ok("exec", "shop-client", "wget", "-qO-", "http://web:8080/index.html") == "welcome to the shop"
    assert cli("kube", "play", str(EXAMPLE)).returncode == 125
    cli.ok("kube", "play", "--network", "none", "--replace", str(EXAMPLE))
    assert cli.ok("kube", "down", str(EXAMPLE)) == "shop"
    assert cli.ok("kube", "down", str(EXAMPLE)) == ""
    assert cli.ok("ps", "-aq") == ""


def test_config_map_of_another_file_a_claim_and_what_has_no_effect(cli: CommandLine, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS)
    done = cli("play", "kube", "--network", "none", "--configmap", str(settings), "-", stdin=POD)
    assert done.returncode == 0, done.stderr
    assert "Warning: stdin:14: spec.containers[0].lifecycle has no effect" in done.stderr
    assert cli.ok("exec", "keeper-main", "sh", "-c", "echo kept > /data/file; cat /proc/1/cmdline").startswith("sleep")
    assert cli.ok("kube", "down", "--configmap", str(settings), "-", stdin=POD) == "keeper"
    assert cli.ok("volume", "ls", "-q") == "items"
    assert cli.ok("kube", "down", "--force", "--configmap", str(settings), "-", stdin=POD) == "items"
    assert cli.ok("volume", "ls", "-q") == ""


def test_written_pod_runs_again(cli: CommandLine, tmp_path: Path) -> None:
    cli.ok("kube", "play", "--network", "none", "--start=false", str(EXAMPLE))
    file = tmp_path / "again.yaml"
    cli.ok("generate", "kube", "-f", str(file), "shop")
    (asked,) = parse_kube((EXAMPLE.read_bytes(), "shop.yaml")).pods
    (found,) = parse_kube((file.read_bytes(), "again.yaml")).pods
    # Another process has made the pod: its probes were written down too.
    assert found == asked
    assert any(one.container.wait is not None for one in found.members)
    cli.ok("kube", "down", str(file))
    cli.ok("kube", "play", "--network", "none", str(file))
    assert cli.ok("exec", "shop-client", "wget", "-qO-", "http://web:8080/health") == "ok"


def test_container_is_written_as_a_pod_of_its_own(cli: CommandLine) -> None:
    cli.ok("create", "--network", "none", "--name", "box", "-e", "A=b", "-v", "data:/data", "-u", "5:6", BUSYBOX, "id")
    done = cli("kube", "generate", "box")
    (pod,) = parse_kube((done.stdout.encode(), "box.yaml")).pods
    assert (pod.name, pod.members[0].name) == ("box-pod", "box")
    container = pod.members[0].container
    assert (container.env, container.command, container.user) == ({"A": "b"}, ("id",), "5:6")
    assert [mount.target for mount in container.mounts] == ["/data"]


LIVELY = f"""
kind: Pod
metadata: {{name: lively}}
spec:
  restartPolicy: Always
  containers:
    - name: main
      image: {BUSYBOX}
      command: [sh, -c, "mkdir -p /www; echo well > /www/live; exec httpd -f -p 80 -h /www"]
      startupProbe: {{exec: {{command: [test, -e, /www/live]}}}}
      livenessProbe: {{httpGet: {{path: /live, port: 80}}, periodSeconds: 1, failureThreshold: 1}}
"""


def test_liveness_probe_restarts_a_container_that_no_process_of_ours_watches(cli: CommandLine) -> None:
    cli.ok("kube", "play", "--network", "none", "-", stdin=LIVELY)
    cli.await_output("healthy", "inspect", "-f", "{{.State.Health.Status}}", "lively-main")
    cli.ok("exec", "lively-main", "rm", "/www/live")
    cli.await_output("1", "inspect", "-f", "{{.RestartCount}}", "lively-main")
    # It makes the file again when it starts.
    cli.await_output("healthy", "inspect", "-f", "{{.State.Health.Status}}", "lively-main")
    (found,) = parse_kube((cli.ok("kube", "generate", "lively").encode(), "again.yaml")).pods
    (asked,) = parse_kube((LIVELY.encode(), "lively.yaml"), grace=10).pods
    assert found.members[0].container.health == asked.members[0].container.health
    assert found.members[0].container.wait == asked.members[0].container.wait


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (("kube", "play", "/none.yaml"), "", "reading /none.yaml: No such file or directory"),
        (("kube", "play", "-"), "kind: Pod\nspec: {containers: [{name: a, image: b, tty: x}]}", "stdin:2: spec.cont"),
        (("kube", "play", "-"), "a: [", "stdin:1: it is not YAML"),
        (("kube", "generate", "none"), "", "no pod or container 'none'"),
        (("kube", "play"), "", "missing FILE"),
    ],
)
def test_mistakes_are_told(cli: CommandLine, words: tuple[str, ...], text: str, said: str) -> None:
    done = cli(*words, stdin=text)
    assert done.returncode == 125
    assert said in done.stderr
    assert "Traceback" not in done.stderr
