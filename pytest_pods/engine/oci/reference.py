"""Image references: what people write, read as Docker and Podman read it, and the parts that a registry is asked with.

Names follow the distribution specification's grammar; a name without a registry belongs to Docker's default one. Where
a registry is reached is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pytest_pods.engine.errors import InvalidDocumentError, InvalidReferenceError
from pytest_pods.engine.oci.digest import Digest

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

_OFFICIAL = "library/"
_LONGEST_NAME = 255
_LONGEST_TEXT = 1024

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::([0-9]{{1,5}}))?\Z")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}\Z")
_BARE_ID = re.compile(r"[a-f0-9]{64}\Z")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An image in a registry. At least one of `tag` and `digest` is set; with both, the digest decides."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads `redis:7`, `host:5000/app@sha256:…`, `docker://…`; raises InvalidReferenceError with the reason."""
        name, tag, digest = _split(text)
        registry, repository = _split_name(text, name)
        if tag is None and digest is None:
            tag = DEFAULT_TAG
        return cls(registry, repository, tag, digest)

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/redis`."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest is not None else self.tag or DEFAULT_TAG

    def with_digest(self, digest: Digest) -> Reference:
        """The same name, pinned to `digest` alone."""
        return replace(self, tag=None, digest=digest)

    def familiar(self) -> str:
        """The shortest text that means the same, for people: `redis:7`."""
        if self.registry == DEFAULT_REGISTRY:
            for name in (self.repository.removeprefix(_OFFICIAL), self.repository):
                # `library/a/b` and `localhost/a` mean something else without what was left out.
                if _split_name(name, name) == (self.registry, self.repository):
                    return name + self._suffix()
        return str(self)

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")

    def __str__(self) -> str:
        return self.name + self._suffix()


def _split(text: str) -> tuple[str, str | None, Digest | None]:
    if len(text) > _LONGEST_TEXT:
        raise _invalid(text, f"it has {len(text)} characters", f"{_LONGEST_TEXT} are the most")
    rest = text.removeprefix("docker://")
    if scheme := _SCHEME.match(rest):
        raise _invalid(text, f"it starts with {scheme.group(0)!r}", "write the registry's host and the repository only")
    rest, at, digest_text = rest.partition("@")
    digest = _parse_digest(text, digest_text) if at else None
    name, colon, tag = rest.rpartition(":")
    # A colon before the last slash belongs to the registry's port.
    if not colon or "/" in tag:
        return rest, None, digest
    if not _TAG.match(tag):
        raise _invalid(text, f"the tag {tag!r} is not valid", "a tag has 1 to 128 letters, digits, '_', '.' and '-'")
    return name, tag, digest


def _parse_digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidDocumentError as error:
        raise _invalid(text, f"the digest {digest[:80]!r} is not valid", error.hint) from error


def _split_name(text: str, name: str) -> tuple[str, str]:
    if not name:
        raise _invalid(text, "it names no repository", "write, for example, 'redis:7'")
    if _BARE_ID.match(name):
        raise _invalid(text, "64 hexadecimal digits are an image ID, not a repository", None)
    first, slash, rest = name.partition("/")
    if slash and (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        registry, repository = _parse_registry(text, first), rest
    else:
        registry, repository = DEFAULT_REGISTRY, name
    if registry == f"index.{DEFAULT_REGISTRY}":
        registry = DEFAULT_REGISTRY
    _check_repository(text, repository)
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    if len(registry) + 1 + len(repository) > _LONGEST_NAME:
        raise _invalid(text, "its name is too long", f"registry and repository have at most {_LONGEST_NAME} characters")
    return registry, repository


def _parse_registry(text: str, registry: str) -> str:
    match = _REGISTRY.match(registry)
    if not match or int(match.group(1) or 0) > 65535:
        raise _invalid(text, f"the registry {registry!r} is not a host, or host:port", None)
    return registry.lower()


def _check_repository(text: str, repository: str) -> None:
    if repository != repository.lower():
        raise _invalid(
            text, f"the repository {repository!r} has upper-case letters", f"did you mean {repository.lower()!r}?"
        )
    for component in repository.split("/"):
        if not _COMPONENT.match(component):
            raise _invalid(
                text,
                f"{component!r} cannot be a part of a repository's name",
                "parts have lower-case letters and digits, separated by '.', '_', '__' or dashes",
            )


def _invalid(text: str, reason: str, hint: str | None) -> InvalidReferenceError:
    shown = text if len(text) <= 120 else text[:117] + "…"
    return InvalidReferenceError(f"invalid image reference {shown!r}: {reason}", hint=hint)
