"""Who we are to a registry: credentials as Docker's and Podman's files and helper programs keep them.

Read at every use, never written, never shown. Nothing here speaks to a registry.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from pytest_pods.engine.errors import AuthenticationError, PodsError
from pytest_pods.engine.oci.reference import DEFAULT_REGISTRY
from pytest_pods.frozen import frozen

_HELPER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}\Z")
_DEFAULT_KEYS = (f"https://index.{DEFAULT_REGISTRY}/v1/", f"index.{DEFAULT_REGISTRY}", f"registry-1.{DEFAULT_REGISTRY}")
_HELPER_TIMEOUT_S = 30.0
_LARGEST_FILE = 4 * 1024 * 1024


@frozen
class Credentials:
    """A user's name and password, or an identity token to be exchanged; `source` says where they are from."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    source: str
    identity_token: str | None = field(default=None, repr=False)

    def basic_header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


class CredentialSource(Protocol):
    """Finds credentials; may be asked by several threads."""

    def find(self, registry: str, repository: str) -> Credentials | None:
        """What to present for `repository` at `registry`, both as references have them."""


class NoCredentials:
    """Nobody."""

    def find(self, registry: str, repository: str) -> Credentials | None:
        return None


@frozen
class FixedCredentials:
    """One account, for one registry."""

    registry: str
    credentials: Credentials

    def find(self, registry: str, repository: str) -> Credentials | None:
        return self.credentials if registry == self.registry else None


def user_credentials() -> CredentialSource:
    """What this process's user has logged in with."""
    return CredentialFiles(build_credential_files(os.environ, uid=os.geteuid()))


def build_credential_files(environment: Mapping[str, str], *, uid: int) -> tuple[Path, ...]:
    """The files to look into, first one first, as Podman does it, then Docker's."""
    if explicit := environment.get("REGISTRY_AUTH_FILE"):
        return (Path(explicit),)
    home = Path(environment.get("HOME") or "/root")
    runtime = environment.get("XDG_RUNTIME_DIR")
    docker = environment.get("DOCKER_CONFIG")
    return (
        Path(runtime or f"/run/containers/{uid}") / ("containers/auth.json" if runtime else "auth.json"),
        Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json",
        (Path(docker) if docker else home / ".docker") / "config.json",
    )


@frozen
class CredentialFiles:
    """Credentials out of `files`, the first file that has some decides; a missing file is none."""

    files: Sequence[Path]

    def find(self, registry: str, repository: str) -> Credentials | None:
        for file in self.files:
            document = _read(file)
            if document is not None and (found := _find_in(document, file, registry, repository)) is not None:
                return found
        return None


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_FILE)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise AuthenticationError(f"cannot read the credentials in {file}: {error.strerror}") from error
    if not content.strip():
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        # The parser's message could quote the file, and with it a secret.
        raise AuthenticationError(f"the credentials in {file} are not JSON") from None
    return document if isinstance(document, Mapping) else None


def _find_in(document: Mapping[str, Any], file: Path, registry: str, repository: str) -> Credentials | None:
    helpers, auths = _mapping(document.get("credHelpers")), _mapping(document.get("auths"))
    for key in build_keys(registry, repository):
        if helper := helpers.get(key):
            return _ask_helper(helper, key, file=file)
        if (found := _parse_entry(_entry(auths, key), file)) is not None:
            return found
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        for key in (registry,) if registry != DEFAULT_REGISTRY else (_DEFAULT_KEYS[0], registry):
            if (found := _ask_helper(store, key, file=file)) is not None:
                return found
    return None


def build_keys(registry: str, repository: str) -> tuple[str, ...]:
    """The keys that credentials for a repository may stand under, most exact first."""
    keys = []
    path = f"{registry}/{repository}"
    while path:
        keys.append(path)
        path = path.rpartition("/")[0]
    return (*keys, *_DEFAULT_KEYS) if registry == DEFAULT_REGISTRY else tuple(keys)


def _entry(auths: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if key in auths:
        return _mapping(auths[key])
    # Old tools wrote a URL: https://host/v1/, https://host.
    for written, value in auths.items():
        if "://" in written and _strip(written) == key:
            return _mapping(value)
    return {}


def _strip(url: str) -> str:
    host = url.partition("://")[2].rstrip("/")
    return host.removesuffix("/v1").removesuffix("/v2")


def _parse_entry(entry: Mapping[str, Any], file: Path) -> Credentials | None:
    token = entry.get("identitytoken")
    username, password = entry.get("username"), entry.get("password")
    if isinstance(encoded := entry.get("auth"), str) and encoded:
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise AuthenticationError(f"the credentials in {file} have an entry that cannot be decoded") from None
    if isinstance(token, str) and token:
        return Credentials(username if isinstance(username, str) else "", "", str(file), identity_token=token)
    if not isinstance(username, str) or not isinstance(password, str) or not username:
        return None
    # Docker pads what it encodes with NUL bytes.
    return Credentials(username, password.rstrip("\0"), str(file))


def _ask_helper(helper: object, key: str, *, file: Path) -> Credentials | None:
    from pytest_pods.engine.host.commands import run_command

    if not isinstance(helper, str) or not _HELPER.match(helper):
        raise AuthenticationError(f"{file} names a credential helper that is not valid")
    program = f"docker-credential-{helper}"
    try:
        result = run_command([program, "get"], stdin=key.encode(), timeout_s=_HELPER_TIMEOUT_S)
    except PodsError as error:
        raise AuthenticationError(
            f"the credential helper {program} that {file} names cannot be used: {error.brief}",
            hint=f"install {program}, or remove it from {file}",
        ) from error
    if result.status != 0:
        # Helpers say that they have nothing with a failure and one of a few texts.
        if any("not found" in line for line in _lines(result.stdout + result.stderr)):
            return None
        raise AuthenticationError(f"the credential helper {program} that {file} names failed (status {result.status})")
    try:
        document = _mapping(json.loads(result.stdout))
    except ValueError:
        raise AuthenticationError(f"the credential helper {program} answered something that is not JSON") from None
    username, secret = document.get("Username"), document.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == "<token>":
        return Credentials("", "", program, identity_token=secret)
    return Credentials(username, secret, program)


def _lines(output: bytes) -> Iterator[str]:
    return iter(output.decode(errors="replace").lower().splitlines())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
