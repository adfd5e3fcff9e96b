"""Broken, hostile and mistaken documents: each is told with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pods.engine.errors import KubeDocumentError
from pytest_pods.engine.kube.reading import parse_kube, read_kube

BASE = """\
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers:
    - name: main
      image: busybox:1
"""


def refuse(text: str | bytes) -> KubeDocumentError:
    with pytest.raises(KubeDocumentError) as caught:
        parse_kube((text.encode() if isinstance(text, str) else text, "pods.yaml"))
    return caught.value


@pytest.mark.parametrize(
    ("line", "words", "hint"),
    [
        ("      imagee: x", "spec.containers[0].imagee is not known here", "did you mean 'image'?"),
        ("  volums: []", "spec.volums is not known here", "did you mean 'volumes'?"),
        ("      env: [{name: A, value: 5}]", "env[0].value has to be a text, not 5", 'write "5"'),
        ("      env: [{name: A, value: yes}]", "env[0].value has to be a text, not yes", 'write "yes"'),
        ("      env: {A: b}", "env has to be a list", None),
        ("      env: [{name: A=B, value: c}]", "which no variable can be called", None),
        ("      command: sleep", "command has to be a list", None),
        ("      tty: maybe", "tty has to be true or false", None),
        ("      ports: [{containerPort: 0}]", "is 0: it has to be from 1 to 65535", None),
        ("      ports: [{containerPort: 99999999999999999999}]", "it has to be from 1 to 65535", None),
        ("      ports: [{containerPort: http}]", "has to be a whole number", None),
        ("      ports: [{containerPort: 5, protocol: SCTP}]", "cannot be published by SCTP", "TCP and UDP"),
        ("      ports: [{containerPort: 5, hostIP: nowhere}]", "'nowhere' is not an IP address", None),
        ("      resources: {limits: {memory: many}}", "limits.memory has to be a quantity", "64Mi"),
        ("      resources: {limits: {memory: 5}}", "nothing starts in less than", None),
        ("      resources: {limits: {cpu: 0}}", "has to be more than 0", None),
        ("      resources: {limits: {cpu: true}}", "has to be a quantity", None),
        ("      volumeMounts: [{name: x, mountPath: /x}]", "which the pod does not have", "it has: none"),
        ("      workingDir: here", "has to be an absolute path", None),
        ("      imagePullPolicy: Sometimes", "is 'Sometimes'", "one of Always"),
        ("      securityContext: {runAsGroup: 5}", "needs runAsUser", None),
        ("      securityContext: {runAsUser: root}", "has to be a whole number", None),
        ("      securityContext: {seccompProfile: {type: Localhost}}", "is not supported", None),
        ("      readinessProbe: {grpc: {port: 5}}", "grpc is not supported", "httpGet"),
        ("      readinessProbe: {}", "has to have one of httpGet", None),
        ("      readinessProbe: {tcpSocket: {port: http}}", "names the port 'http'", "none with a name"),
        ("      readinessProbe: {tcpSocket: {port: 5}, periodSeconds: 0}", "it has to be from 1", None),
        ("      livenessProbe: {tcpSocket: {port: 5}, successThreshold: 2}", "successThreshold other than 1", None),
        ("      livenessProbe: {tcpSocket: {port: 5}, periodSeconds: 2000000000}", "interval of a health check", None),
        ("      startupProbe: {tcpSocket: {port: 5}, successThreshold: 2}", "successThreshold other than 1", None),
        ("      livenessProbe: {exec: {command: []}}", "livenessProbe.exec.command is empty", None),
        ("  initContainers: [{name: i, image: x, livenessProbe: {tcpSocket: {port: 5}}}]", "has a probe", None),
        ("      env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]", "the Secret 's', which is not", None),
        ("      env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", "not known before", None),
        ("  hostPID: true", "hostPID is not supported", None),
        ("  restartPolicy: Never!", "is 'Never!'", "Always, OnFailure, Never"),
        ("  dnsPolicy: None", "there is no dnsConfig", None),
        ("  hostname: a_b", "invalid hostname 'a_b'", None),
        ("  volumes: [{name: a, nfs: {}}]", "volumes[0].nfs is not known here", None),
        ("  volumes: [{name: ../x}]", "../x", None),
        ("  volumes: [{name: a, emptyDir: {}, hostPath: {path: /}}]", "is emptyDir and hostPath at once", None),
        ("  volumes: [{name: a, hostPath: {path: data}}]", "which is no absolute path", None),
        ("  volumes: [{name: a, configMap: {name: c}}]", "the ConfigMap 'c', which is not there", "same file"),
        ("  initContainers: [{name: i, image: x, restartPolicy: Always}]", "is not supported", None),
        ("  initContainers: [{name: main, image: x}]", "is the second container 'main'", None),
    ],
)
def test_mistake_is_told_with_line_and_field(line: str, words: str, hint: str | None) -> None:
    error = refuse(f"{BASE}{line}\n")
    number = 7 if "second container" in words else 8
    assert error.brief.startswith(f"pods.yaml:{number}:") or "second container" in words, error.brief
    assert words in error.brief
    if hint is not None:
        assert error.hint is not None
        assert hint in error.hint


def test_two_containers_on_one_port_are_refused() -> None:
    two = "".join(f"    - {{name: {name}, image: i, ports: [{{containerPort: 80}}]}}\n" for name in "ab")
    assert "both publish port 80/tcp" in refuse(BASE + two).brief


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("kind: Pod\n\tspec: 1\n", "pods.yaml:2: it is not YAML", id="tab"),
        pytest.param("kind: [\n", "it is not YAML", id="open list"),
        pytest.param("kind: Pod\nkind: Pod\n", "pods.yaml:2: has 'kind' twice", id="key twice"),
        pytest.param("kind: !!python/object/apply:os.system [x]\n", "has the tag", id="object"),
        pytest.param("kind: Pood\n", "pods.yaml:1: kind is 'Pood', which is not supported", id="kind"),
        pytest.param("- 1\n", "pods.yaml:1: has to be a mapping", id="list"),
        pytest.param("just a text\n", "has to be a mapping", id="text"),
        pytest.param("{}\n", "has no 'kind'", id="no kind"),
        pytest.param("kind: Pod\nmetadata: {name: x}\n", "has no 'spec'", id="no spec"),
        pytest.param("kind: Pod\nspec: {containers: []}\n", "spec has no containers", id="no container"),
        pytest.param("kind: Pod\nspec: {containers: [{name: a}]}\n", "containers[0] has no 'image'", id="no image"),
        pytest.param("? [a]\n: b\n", "has a key that is no text", id="key"),
        pytest.param("kind: ConfigMap\n", "is a ConfigMap without a name", id="no name"),
        pytest.param("kind: ConfigMap\nmetadata: {name: a/b}\n", "a/b", id="wrong name"),
        pytest.param("kind: ConfigMap\nmetadata: {name: a}\ndata: {../x: y}\n", "which no file can have", id="file"),
        pytest.param("kind: ConfigMap\nmetadata: {name: a}\nbinaryData: {x: '!'}\n", "is not base64", id="base64"),
        pytest.param("kind: Deployment\nmetadata: {name: a}\nspec: {replicas: 3}\n", "replicas is 3", id="replicas"),
        pytest.param("a: &a [*a]\nkind: Pod\n", "nested too deeply", id="circle"),
        pytest.param("[" * 5000, "nested too deeply", id="deep"),
        pytest.param("a: 0b\n", "kind", id="text that is nearly a number"),
        pytest.param("a: " + "9" * 5000, "is no int", id="long number"),
        pytest.param('kind: "\\ud800"\n', "pods.yaml:1: kind has half a character", id="half a character"),
        pytest.param('"\\udc00": 1\n', "has half a character", id="half a character in a key"),
        pytest.param("a: \x07\n", "it is not YAML", id="control character"),
    ],
)
def test_broken_document_is_told(text: str, words: str) -> None:
    assert words in refuse(text).brief


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "beyond 50000 values" in refuse("\n".join(lines)).brief


def test_file_that_is_no_text_is_told_with_its_line() -> None:
    assert refuse(b"kind: Pod\nspec: \xff\n").brief.startswith("pods.yaml:2: it is not UTF-8")


def test_large_file_is_refused() -> None:
    assert "more than 4 MiB" in refuse(b"#" * ((4 << 20) + 1)).brief


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeDocumentError, match=r"reading .*none\.yaml: No such file"):
        read_kube(tmp_path / "none.yaml")


def test_secret_is_in_no_message() -> None:
    error = refuse("kind: Secret\nmetadata: {name: a}\nstringData: {password: 12345}\n")
    assert "12345" not in str(error)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_names = st.sampled_from(
    "kind metadata name spec containers image env ports containerPort volumes emptyDir volumeMounts mountPath resources"
    " limits cpu securityContext runAsUser readinessProbe tcpSocket port command template replicas data".split()
)
_trees = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=5), max_leaves=30
)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(["Pod", "Deployment", "ConfigMap", "Secret", "Service", "List"]), tree=_trees)
def test_any_document_is_read_or_refused(kind: str, tree: object) -> None:
    import json

    document = {"kind": kind, "metadata": {"name": "x"}, "spec": tree, "data": tree, "items": tree}
    text = json.dumps(document, allow_nan=False) if _is_plain(tree) else repr(document)
    try:
        parse_kube((text.encode("utf-8", "replace"), "pods.yaml"))
    except KubeDocumentError as error:
        assert error.brief.startswith("pods.yaml:")


def _is_plain(tree: object) -> bool:
    import json

    try:
        json.dumps(tree, allow_nan=False)
    except ValueError:
        return False
    return True
