"""The engine's exceptions: one tree, told apart by what a caller can do about them.

Every error says what was tried, on what, and why it failed (`brief`), may carry a longer text (`details`) and a cure
(`hint`), and knows whether trying the same thing again can help (`temporary`). Errors survive pickling, because xdist
sends them between processes. This module knows nothing of the rest of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self


def _rebuild(kind: type[PodsError], brief: str, fields: dict[str, Any]) -> PodsError:
    error = kind.__new__(kind)
    Exception.__init__(error, brief)
    error.__dict__.update(fields)
    return error


class PodsError(Exception):
    """Root of the tree.

    `brief` is one line that names the subject and the reason; `details` may span lines; `hint` says what to do.
    """

    temporary: bool = False

    def __init__(
        self,
        brief: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        temporary: bool | None = None,
    ) -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.hint = hint
        if temporary is not None:
            self.temporary = temporary

    def __str__(self) -> str:
        lines = [self.brief]
        if self.details:
            lines.append(self.details.rstrip("\n"))
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Callable[..., PodsError], tuple[type[PodsError], str, dict[str, Any]]]:
        return _rebuild, (type(self), self.brief, dict(self.__dict__))


class InvalidInputError(PodsError):
    """What the caller asked for cannot be meant: a reference, a name, a specification, a marker."""


class InvalidReferenceError(InvalidInputError):
    """An image reference that the distribution specification's grammar does not allow."""


class InvalidNameError(InvalidInputError):
    """A container, session or volume name with characters or a length that are not allowed."""


class InvalidSpecError(InvalidInputError):
    """A container specification with a value that is out of its range or contradicts another."""


class NoHealthCheckError(InvalidSpecError):
    """The health of a container is asked for that has no health check."""


class KubeDocumentError(InvalidInputError):
    """A Kubernetes document that cannot be read, or asks for what there is not; names file, line and field."""


class InvalidMarkerError(InvalidInputError):
    """A pytest mark with unknown or wrong arguments."""


class InvalidSettingError(InvalidInputError):
    """An option, environment variable or ini value that cannot be read."""


class NotFoundError(PodsError):
    """The thing that was named does not exist."""


class ImageNotFoundError(NotFoundError):
    """No such image, here or in the registry that was asked."""


class ContainerNotFoundError(NotFoundError):
    """No such container in the sessions that were searched."""

    @classmethod
    def removed(cls, name: str, container_id: str) -> Self:
        """Of one that was there when whoever asks got to know it."""
        return cls(f"container {name} ({container_id[:12]}) was removed")


class NetworkNotFoundError(NotFoundError):
    """No such network in the session, or the container is not on it."""


class VolumeNotFoundError(NotFoundError):
    """No such volume in the sessions that were searched."""


class PodNotFoundError(NotFoundError):
    """No such pod in the sessions that were searched."""

    @classmethod
    def removed(cls, name: str, pod_id: str) -> Self:
        """Of one that was there when whoever asks got to know it."""
        return cls(f"pod {name} ({pod_id[:12]}) was removed")


class SessionNotFoundError(NotFoundError):
    """No such live session."""


class ConflictError(PodsError):
    """The request collides with what there is."""


class NameInUseError(ConflictError):
    """Another container, pod or volume has the name."""


class InUseError(ConflictError):
    """The thing is needed by something else: an image or a volume by a container."""


class WrongStateError(ConflictError):
    """The container's state does not allow the operation."""


class PortInUseError(ConflictError):
    """The host port is bound already."""


class SubnetInUseError(ConflictError):
    """A network that there is, or the host, has addresses of the subnet."""


class AddressInUseError(ConflictError):
    """Another container of the network has the address."""


class HostError(PodsError):
    """The machine lacks, or refuses, what the engine needs."""


class MissingProgramError(HostError):
    """A program that the engine starts (runc, conmon, …) is not installed."""


class UnsupportedVersionError(HostError):
    """A program is too old, or too new, for what was asked."""


class UnsupportedHostError(HostError):
    """The kernel or its configuration cannot do what was asked."""


class SystemCallError(HostError):
    """A system call failed. `call`, `errno` and `subject` are the facts."""

    def __init__(self, brief: str, *, call: str, errno: int, subject: str = "", **rest: Any) -> None:
        super().__init__(brief, **rest)
        self.call = call
        self.errno = errno
        self.subject = subject


class SandboxLostError(HostError):
    """The session's sandbox ended while it was needed; everything in it is gone."""


class ProtocolError(HostError):
    """The sandbox answered something that is not part of its protocol."""


class CommandError(PodsError):
    """A program ended with a failure. `argv`, `status` and `stderr` (its tail) are the facts."""

    def __init__(self, brief: str, *, argv: Sequence[str], status: int, stderr: str = "", **rest: Any) -> None:
        super().__init__(brief, **rest)
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr


class RegistryError(PodsError):
    """A registry could not be used as asked. `retry_after_s` is set where the registry said when to come back."""

    def __init__(self, brief: str, *, retry_after_s: float | None = None, **rest: Any) -> None:
        super().__init__(brief, **rest)
        self.retry_after_s = retry_after_s


class RegistryResponseError(RegistryError):
    """The registry answered with an error, or with something that the specification does not allow."""

    def __init__(self, brief: str, *, status: int, codes: Sequence[str] = (), **rest: Any) -> None:
        super().__init__(brief, **rest)
        self.status = status
        self.codes = tuple(codes)


class AuthenticationError(RegistryError):
    """The registry does not accept the credentials, or wants some."""


class RateLimitError(RegistryError):
    """The registry asks to come back later."""

    temporary = True


class RegistryUnreachableError(RegistryError):
    """No connection to the registry: name, route, TLS or time-out."""

    temporary = True


class CertificateError(RegistryUnreachableError):
    """The registry's certificate is not one that this machine trusts."""

    temporary = False


class ContentError(PodsError):
    """Content is not what its description promises."""


class DigestMismatchError(ContentError):
    """The bytes have another digest than the descriptor or the image config says."""


class SizeMismatchError(ContentError):
    """There are more or fewer bytes than the descriptor says, or than a limit allows."""


class InvalidDocumentError(ContentError):
    """A manifest, index, config or archive that does not follow its specification."""


class UnsafeEntryError(ContentError):
    """An entry of a layer or archive that would reach out of its root, or is of a kind that is refused."""


class StorageError(PodsError):
    """The store cannot be read or written."""


class DiskFullError(StorageError):
    """No space (or quota) left for the store."""


class NetworkError(PodsError):
    """Networking of a container or session could not be set up."""


class OCIRuntimeError(PodsError):
    """runc or conmon failed to do what was asked of a container."""


class CommandNotFoundError(OCIRuntimeError):
    """The container's command does not exist in its image (exit status 127)."""


class CommandNotExecutableError(OCIRuntimeError):
    """The container's command exists but cannot be executed (exit status 126)."""


class MonitorLostError(OCIRuntimeError):
    """The container's monitor (conmon) ended before the container did."""


class ExitedEarlyError(OCIRuntimeError):
    """The container ended while something still waited for it to be ready."""

    def __init__(self, brief: str, *, exit_code: int | None, log_tail: str = "", **rest: Any) -> None:
        super().__init__(brief, **rest)
        self.exit_code = exit_code
        self.log_tail = log_tail


class PodFailedError(OCIRuntimeError):
    """A pod did not come up because of one member; all of it was removed again.

    `member` is its name in the pod, `exit_code` is None if it had not ended, `log_tail` its last lines.
    """

    def __init__(
        self, brief: str, *, member: str, exit_code: int | None = None, log_tail: str = "", **rest: Any
    ) -> None:
        super().__init__(brief, **rest)
        self.member = member
        self.exit_code = exit_code
        self.log_tail = log_tail


class NotReadyError(PodsError):
    """A wait ran out of time. `condition`, `waited_s`, `last_seen` and `log_tail` say how far it came."""

    def __init__(
        self, brief: str, *, condition: str, waited_s: float, last_seen: str = "", log_tail: str = "", **rest: Any
    ) -> None:
        super().__init__(brief, **rest)
        self.condition = condition
        self.waited_s = waited_s
        self.last_seen = last_seen
        self.log_tail = log_tail


class BudgetExceededError(PodsError):
    """A container has used more than the test allows; it was not held to that."""


class DeadlineExceededError(PodsError):
    """An operation other than a readiness wait ran out of time."""

    temporary = True


class CleanupError(PodsError):
    """A tear-down went on past its faults; `faults` has every one of them."""

    def __init__(self, brief: str, *, faults: Sequence[BaseException], **rest: Any) -> None:
        details = "\n".join(f"- {type(fault).__name__}: {fault}" for fault in faults)
        super().__init__(brief, details=rest.pop("details", details), **rest)
        self.faults = tuple(faults)


class PodsWarning(UserWarning):
    """Something works, but not as well as it could on this machine; says why, and what would change that."""
