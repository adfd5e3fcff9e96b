"""A blob's bytes, checked to the end: size and digest are verified, a broken connection is resumed where it broke."""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import (
    DigestMismatchError,
    RegistryError,
    RegistryResponseError,
    SizeMismatchError,
)
from pytest_pods.engine.registry.retrying import repeat

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator

    import requests

    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.registry.transport import Request, Transport

CHUNK_SIZE = 256 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)\Z")


class BlobStream:
    """Iterates over a blob's chunks, once.

    After the last chunk, size and digest are those of the descriptor; otherwise SizeMismatchError or
    DigestMismatchError is raised, so nothing may be relied on before the end. `hasher` has taken in what came before
    `offset`; without it a stream with an offset can check the size only.
    """

    def __init__(
        self,
        transport: Transport,
        request: Request,
        descriptor: Descriptor,
        *,
        offset: int = 0,
        hasher: hashlib._Hash | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._transport = transport
        self._request = request
        self._descriptor = descriptor
        self._position = offset
        self._hasher = hasher if hasher is not None or offset else descriptor.digest.hasher()
        self._cancelled = cancelled or threading.Event()
        self._response: requests.Response | None = None

    @property
    def position(self) -> int:
        """Bytes of the blob that were given out, with those before the offset."""
        return self._position

    def __enter__(self) -> BlobStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops the connection; a stream that is at its end has none."""
        if self._response is not None:
            self._response.close()
        self._response = None

    def abort(self) -> None:
        """Ends the stream from another thread; the one that reads gets an error, at once if it waits for bytes."""
        self._cancelled.set()
        response = self._response
        # Only shutting down wakes a reader; closing would not, and older libraries have neither.
        shut_down = getattr(getattr(response, "raw", None), "shutdown", None)
        if shut_down is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                shut_down()

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self._next():
                self._position += len(chunk)
                if self._position > self._descriptor.size:
                    raise self._wrong_size("more bytes")
                if self._hasher is not None:
                    self._hasher.update(chunk)
                yield chunk
            self._verify()
        finally:
            self.close()

    def _next(self) -> bytes:
        """The next chunk, b"" at the end; a fault costs an attempt of its own, so that progress keeps it alive."""
        return repeat(self._read, policy=self._transport.policy, cancelled=self._cancelled)

    def _read(self) -> bytes:
        if self._cancelled.is_set():
            raise RegistryError(f"the download of {self._request.subject} was given up")
        if self._response is None:
            # An empty rest cannot be asked for by range.
            if self._position and self._position >= self._descriptor.size:
                return b""
            self._response = self._open()
        import urllib3

        try:
            chunk = bytes(self._response.raw.read(CHUNK_SIZE, decode_content=False))
            # Older libraries take a broken connection for the end.
            if not chunk and self._position < self._descriptor.size and "Content-Length" in self._response.headers:
                raise ConnectionResetError("the body ended early")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.close()
            raise self._transport.connection_broke(error, self._request) from error
        return chunk

    def _open(self) -> requests.Response:
        """A response whose body starts at the position. Not repeated here: the caller does that."""
        headers = dict(self._request.headers)
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
        request = replace(self._request, headers=headers, repeatable=False)
        response = self._transport.exchange(request, lambda opened: opened)
        try:
            self._place(response)
        except BaseException:
            response.close()
            raise
        return response

    def _place(self, response: requests.Response) -> None:
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", ""):
            raise self._wrong_answer(response, f"sends it encoded as {encoding[:40]!r}")
        if response.status_code == 206:
            start = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if start is None or int(start.group(1)) != self._position:
                raise self._wrong_answer(response, "answers with another range than was asked for")
            self._check_length(response, before=self._position)
        elif response.status_code == 200:
            self._check_length(response, before=0)
            self._skip(response, self._position)
        else:
            raise self._wrong_answer(response, f"answers with status {response.status_code}")

    def _check_length(self, response: requests.Response, *, before: int) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and before + int(length) != self._descriptor.size:
            raise self._wrong_size(f"{before + int(length)} bytes")

    def _skip(self, response: requests.Response, amount: int) -> None:
        """Reads over what is there already: the registry does not know ranges."""
        import urllib3

        try:
            while amount:
                chunk = response.raw.read(min(amount, CHUNK_SIZE), decode_content=False)
                if not chunk:
                    raise self._wrong_size("fewer bytes")
                amount -= len(chunk)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport.connection_broke(error, self._request) from error

    def _verify(self) -> None:
        if self._position != self._descriptor.size:
            raise self._wrong_size(f"{self._position} bytes")
        if self._hasher is not None and not self._descriptor.digest.matches(self._hasher):
            raise DigestMismatchError(
                f"{self._request.subject} has the {self._descriptor.digest.algorithm} digest "
                f"{self._hasher.hexdigest()}, not {self._descriptor.digest.hex}",
                hint="the registry, or something on the way to it, changes content; nothing of it was kept",
            )

    def _wrong_size(self, actual: str) -> SizeMismatchError:
        return SizeMismatchError(
            f"{self._request.subject} has {actual}; its manifest promises {self._descriptor.size}",
            hint="the registry, or something on the way to it, changes content; nothing of it was kept",
        )

    def _wrong_answer(self, response: requests.Response, what: str) -> RegistryResponseError:
        return RegistryResponseError(
            f"{self._request.scope.registry} was asked for {self._request.subject} and {what}",
            status=response.status_code,
        )
