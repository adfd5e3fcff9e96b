"""What went wrong with a registry, as the engine's errors: from answers, and from connections that failed.

Nothing of a request's headers or query gets into a message: they carry tokens and signatures.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping

from pytest_pods.engine.errors import (
    AuthenticationError,
    CertificateError,
    ImageNotFoundError,
    RateLimitError,
    RegistryError,
    RegistryResponseError,
    RegistryUnreachableError,
)
from pytest_pods.frozen import frozen

LARGEST_ERROR_BODY = 64 * 1024

_TEMPORARY = frozenset({408, 425, 500, 502, 503, 504})
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@frozen
class Answer:
    """The part of a response that tells why: status, headers (lower case names), the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@frozen
class Complaint:
    """One entry of the specification's error document."""

    code: str
    message: str

    def __str__(self) -> str:
        return self.message or self.code.lower().replace("_", " ")


def translate_answer(
    answer: Answer, *, registry: str, subject: str, is_manifest: bool = False
) -> RegistryError | ImageNotFoundError:
    """The error for an answer of status 400 or more; `subject` is what was asked for ("the manifest of redis:7")."""
    complaints = parse_complaints(answer.body)
    codes = tuple(complaint.code for complaint in complaints)
    said = "; ".join(dict.fromkeys(str(complaint) for complaint in complaints))
    reason = f": {said}" if said else ""
    retry_after_s = parse_retry_after(answer.headers.get("retry-after"))
    if answer.status == 429:
        when = f"; it asks to wait {retry_after_s:.0f} s" if retry_after_s is not None else ""
        return RateLimitError(
            f"{registry} limits how often {subject} can be asked for{reason}{when}",
            retry_after_s=retry_after_s,
            hint=f"log in to {registry} for a higher limit, or pull through a mirror of your own",
        )
    if answer.status in (401, 403):
        return denied(registry, subject, said=said)
    if answer.status == 404 and is_manifest:
        return ImageNotFoundError(
            f"{registry} does not have {subject}{reason}", hint="check the spelling of repository and tag"
        )
    return RegistryResponseError(
        f"{registry} answered with status {answer.status} to the request for {subject}{reason}",
        status=answer.status,
        codes=codes,
        retry_after_s=retry_after_s,
        temporary=answer.status in _TEMPORARY,
    )


def denied(registry: str, subject: str, *, said: str = "", source: str | None = None) -> AuthenticationError:
    """Access refused; `source` is where the credentials that were sent came from, None if none were."""
    reason = f": {said}" if said else ""
    if source is None:
        hint = f"it may not exist, or wants credentials: log in to {registry} with `podman login` or `docker login`"
    else:
        hint = f"it may not exist, or the account in {source} may not use it"
    return AuthenticationError(f"{registry} does not give access to {subject}{reason}", hint=hint)


def parse_complaints(body: bytes) -> tuple[Complaint, ...]:
    """The entries of an error document; nothing for any other body."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    entries = document.get("errors") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        return ()
    return tuple(
        Complaint(clean(str(entry.get("code", ""))), clean(str(entry.get("message") or "")))
        for entry in entries[:5]
        if isinstance(entry, Mapping)
    )


def clean(text: str) -> str:
    """`text` of a stranger on one line of limited length."""
    text = _NOT_PRINTABLE.sub(" ", text).strip()
    return text if len(text) <= 300 else text[:299] + "…"


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from now that a Retry-After header asks for, at least 0; None if it says nothing that can be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def translate_connection_error(
    error: BaseException, *, registry: str, address: str, subject: str | None = None
) -> RegistryUnreachableError:
    """The error for a connection that could not be made, or broke while `subject` was read."""
    chain = tuple(_causes(error))
    name = registry if registry == address else f"{registry} (at {address})"
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateError(
                f"cannot reach the registry {name}: its certificate is not trusted ({clean(cause.verify_message)})",
                hint="give the certificate of its authority as `ca`, in certs.d, or with REQUESTS_CA_BUNDLE",
            )
    reason, temporary = _describe(chain)
    if subject is not None:
        return RegistryUnreachableError(
            f"cannot read {subject} from the registry {name} to its end: {reason}",
            hint="try again, and look for what ends connections on the way if it happens again",
            temporary=temporary,
        )
    return RegistryUnreachableError(
        f"cannot reach the registry {name}: {reason}",
        hint="check the name, the network, and HTTPS_PROXY and NO_PROXY if a proxy is needed",
        temporary=temporary,
    )


def _describe(chain: tuple[BaseException, ...]) -> tuple[str, bool]:
    """One line for people, and whether it can be better soon."""
    for cause in chain:
        if isinstance(cause, socket.gaierror):
            return f"its name cannot be resolved ({cause.strerror})", cause.errno == socket.EAI_AGAIN
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused", True
        if isinstance(cause, ssl.SSLError):
            return (
                f"TLS failed ({clean(getattr(cause, 'reason', None) or str(cause)).lower().replace('_', ' ')})",
                False,
            )
        # time-outs of the libraries below are named so without being TimeoutError
        if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__:
            return "it did not answer in time", True
    for cause in chain:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower(), True
        if type(cause).__name__ == "ProxyError":
            return f"the proxy failed ({clean(str(cause))})", True
    return "the connection broke", True


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that stands behind it, from the outermost."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
