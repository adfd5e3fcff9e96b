"""Credentials are found where Docker and Podman keep them, and never shown."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.errors import AuthenticationError
from pytest_pods.engine.registry.credentials import (
    CredentialFiles,
    Credentials,
    build_credential_files,
    build_keys,
)

SECRET = "s3cret-of-the-user"


def encode(user: str, password: str = SECRET) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def write(path: Path, **document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def find(path: Path, registry: str = "host.name", repository: str = "team/app") -> Credentials | None:
    return CredentialFiles([path]).find(registry, repository)


def test_files_are_looked_for_where_the_tools_keep_them() -> None:
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": "/r", "DOCKER_CONFIG": "/d"}
    assert build_credential_files(environment, uid=7) == (
        Path("/r/containers/auth.json"),
        Path("/h/.config/containers/auth.json"),
        Path("/d/config.json"),
    )


def test_files_are_looked_for_without_any_variable() -> None:
    assert build_credential_files({"HOME": "/h"}, uid=7) == (
        Path("/run/containers/7/auth.json"),
        Path("/h/.config/containers/auth.json"),
        Path("/h/.docker/config.json"),
    )


def test_named_file_is_the_only_one() -> None:
    assert build_credential_files({"REGISTRY_AUTH_FILE": "/x", "HOME": "/h"}, uid=0) == (Path("/x"),)


def test_most_exact_key_comes_first() -> None:
    assert build_keys("host.name", "team/app") == ("host.name/team/app", "host.name/team", "host.name")


@pytest.mark.parametrize(
    ("auths", "user"),
    [
        ({"host.name": {"auth": encode("a")}}, "a"),
        ({"host.name/team": {"auth": encode("b")}, "host.name": {"auth": encode("a")}}, "b"),
        ({"host.name/team/app": {"auth": encode("c")}, "host.name/team": {"auth": encode("b")}}, "c"),
        ({"https://host.name/v1/": {"auth": encode("a")}}, "a"),
        ({"https://host.name": {"auth": encode("a")}}, "a"),
        ({"host.name": {"username": "a", "password": SECRET}}, "a"),
        ({"host.name": {"auth": encode("a", SECRET + "\0")}}, "a"),
        ({"other.name": {"auth": encode("a")}}, None),
        ({"host.name/other": {"auth": encode("a")}}, None),
        ({"host.name": {}}, None),
        ({"host.name": None}, None),
        ([], None),
    ],
)
def test_account_is_found(tmp_path: Path, auths: object, user: str | None) -> None:
    found = find(write(tmp_path / "auth.json", auths=auths))
    assert (found.username if found else None) == user
    assert found is None or found.password == SECRET


@pytest.mark.parametrize("key", ["docker.io", "https://index.docker.io/v1/", "docker.io/library"])
def test_account_of_the_default_registry_is_found(tmp_path: Path, key: str) -> None:
    file = write(tmp_path / "config.json", auths={key: {"auth": encode("a")}})
    found = find(file, "docker.io", "library/redis")
    assert found is not None
    assert found.username == "a"


def test_identity_token_is_found(tmp_path: Path) -> None:
    file = write(tmp_path / "config.json", auths={"host.name": {"auth": encode("a", ""), "identitytoken": "T"}})
    found = find(file)
    assert found is not None
    assert found.identity_token == "T"


def test_first_file_that_has_an_account_decides(tmp_path: Path) -> None:
    files = [
        tmp_path / "missing",
        write(tmp_path / "1", auths={"other": {"auth": encode("x")}}),
        write(tmp_path / "2", auths={"host.name": {"auth": encode("b")}}),
        write(tmp_path / "3", auths={"host.name": {"auth": encode("c")}}),
    ]
    found = CredentialFiles(files).find("host.name", "app")
    assert found is not None
    assert found.username == "b"
    assert found.source == str(tmp_path / "2")


@pytest.mark.parametrize("content", [b"", b"  \n", b"[]", b"null"])
def test_file_without_an_object_has_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert find(tmp_path / "x") is None


@pytest.mark.parametrize(
    "content",
    [
        f'{{"auths": {{"host.name": {{"auth": "{SECRET}"',
        json.dumps({"auths": {"host.name": {"auth": f"{SECRET}!"}}}),
        json.dumps({"auths": {"host.name": {"auth": base64.b64encode(b"\xff" + SECRET.encode()).decode()}}}),
    ],
)
def test_broken_file_is_named_and_its_secret_is_not(tmp_path: Path, content: str) -> None:
    (tmp_path / "auth.json").write_text(content)
    with pytest.raises(AuthenticationError) as caught:
        find(tmp_path / "auth.json")
    assert str(tmp_path / "auth.json") in caught.value.brief
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)


def test_credentials_do_not_show_themselves() -> None:
    credentials = Credentials("user", SECRET, "file", identity_token=SECRET)
    assert SECRET not in repr(credentials)
    assert SECRET not in str(credentials)


def helper(directory: Path, script: str, *, name: str = "test") -> None:
    program = directory / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose programs are found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_helper_of_the_registry_is_asked(helpers: Path) -> None:
    helper(helpers, f'read url; echo "{{\\"Username\\": \\"$url\\", \\"Secret\\": \\"{SECRET}\\"}}"')
    file = write(
        helpers / "config.json", credHelpers={"host.name": "test"}, auths={"host.name": {"auth": encode("not this")}}
    )
    found = find(file)
    assert found is not None
    assert (found.username, found.password) == ("host.name", SECRET)


def test_store_is_asked_with_the_name_that_docker_uses(helpers: Path) -> None:
    helper(helpers, 'read url; echo "{\\"Username\\": \\"$url\\", \\"Secret\\": \\"x\\"}"')
    found = find(write(helpers / "config.json", credsStore="test"), "docker.io", "library/redis")
    assert found is not None
    assert found.username == "https://index.docker.io/v1/"


def test_token_of_a_helper_is_an_identity_token(helpers: Path) -> None:
    helper(helpers, """echo '{"Username": "<token>", "Secret": "T"}'""")
    found = find(write(helpers / "config.json", credsStore="test"))
    assert found is not None
    assert found.identity_token == "T"


def test_helper_that_has_nothing_is_no_fault(helpers: Path) -> None:
    helper(helpers, "echo credentials not found in native keychain; exit 1")
    assert find(write(helpers / "config.json", credsStore="test")) is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [(f"echo {SECRET} >&2; exit 3", "failed (status 3)"), (f"echo {SECRET}", "not JSON")],
)
def test_failing_helper_is_named_and_its_output_is_not(helpers: Path, script: str, reason: str) -> None:
    helper(helpers, script)
    with pytest.raises(AuthenticationError) as caught:
        find(write(helpers / "config.json", credsStore="test"))
    assert "docker-credential-test" in caught.value.brief
    assert reason in caught.value.brief
    assert SECRET not in str(caught.value)


def test_missing_helper_is_named_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError) as caught:
        find(write(tmp_path / "config.json", credsStore="not-there"))
    assert "docker-credential-not-there" in caught.value.brief
    assert caught.value.hint is not None
    assert pickle.loads(pickle.dumps(caught.value)).hint == caught.value.hint


@pytest.mark.parametrize("name", ["../x", "a/b", "", " ", "-x", "a\nb"])
def test_helper_with_a_path_for_a_name_is_refused(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "config.json", credHelpers={"host.name": name})
    if not name:
        assert find(file) is None
        return
    with pytest.raises(AuthenticationError, match="not valid"):
        find(file)
