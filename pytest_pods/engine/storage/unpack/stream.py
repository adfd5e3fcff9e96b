"""The layer's bytes: read from a descriptor, decompressed, hashed and counted on the way, handed out piece by piece.

Decompression and hashing run in a thread of their own (both let go of the interpreter), so that a single layer uses two
processors. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import hashlib
import os
import threading
import zlib
from _queue import SimpleQueue

from pytest_pods.engine.storage.unpack.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    Zstd: TypeAlias = tuple[Callable[[], Any], type[Exception]]

_READ = 256 * 1024
_MOST_OUT = 1024 * 1024
_CHUNKS_AHEAD = 8
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def _read_chunks(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, _READ):
        yield chunk


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gzip stream; zeros may pad its end, anything else there is refused."""
    member: Any = None
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if member is None:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    member = zlib.decompressobj(31)
                out = member.decompress(data, _MOST_OUT)
                if out:
                    yield out
                data = member.unconsumed_tail
                if member.eof:
                    data, member = member.unused_data, None
                elif not data and len(out) == _MOST_OUT:
                    # The limit was reached with all input taken: what is left is inside the decompressor.
                    while out := member.decompress(b"", _MOST_OUT):
                        yield out
                    if member.eof:
                        data, member = member.unused_data, None
    except zlib.error as error:
        raise Refusal("document", f"the gzip stream is corrupt ({error})") from None
    if member is not None:
        raise Refusal("document", "the gzip stream ends in the middle")


def load_zstd() -> Zstd:
    """The decompressor; loaded before the root is changed, after which nothing can be."""
    try:
        from compression.zstd import ZstdDecompressor, ZstdError
    except ImportError:
        from backports.zstd import ZstdDecompressor, ZstdError
    return ZstdDecompressor, ZstdError


def _expand(chunks: Iterator[bytes], make: Callable[[], Any], failure: type[Exception]) -> Iterator[bytes]:
    """All frames of a zstd stream."""
    frame: Any = None
    try:
        for chunk in chunks:
            data = chunk
            while data or (frame is not None and not frame.needs_input):
                frame = frame or make()
                out = frame.decompress(data, _MOST_OUT)
                data = b""
                if out:
                    yield out
                if frame.eof:
                    data, frame = frame.unused_data, None
    except failure as error:
        raise Refusal("document", f"the zstd stream is corrupt ({error})") from None
    if frame is not None:
        raise Refusal("document", "the zstd stream ends in the middle")


def _plain_chunks(descriptor: int, zstd: Zstd | None) -> Iterator[bytes]:
    """The uncompressed bytes; the compression is told by the first bytes, since media types are often wrong."""
    first = b""
    while len(first) < 4 and (more := os.read(descriptor, _READ)):
        first += more

    def chunks() -> Iterator[bytes]:
        if first:
            yield first
        yield from _read_chunks(descriptor)

    if first.startswith(_GZIP):
        return _inflate(chunks())
    if first.startswith(_ZSTD) or (first[1:4] == b"\x2a\x4d\x18" and first[0] & 0xF0 == 0x50):
        if zstd is None:
            raise Refusal("document", "the layer is compressed with zstd, which its media type does not say")
        return _expand(chunks(), *zstd)
    return chunks()


class Source:
    """Uncompressed bytes, taken in order. After `drain`, `hexdigest` and `size` are those of the whole stream."""

    def __init__(self, descriptor: int, *, most_bytes: int, zstd: Zstd | None) -> None:
        self._chunk = memoryview(b"")
        self._position = 0
        self._ended = False
        self._most_bytes = most_bytes
        self._hash = hashlib.sha256()
        self._error: BaseException | None = None
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self.size = 0
        threading.Thread(target=self._produce, args=(descriptor, zstd), daemon=True).start()

    def _produce(self, descriptor: int, zstd: Zstd | None) -> None:
        try:
            for chunk in _plain_chunks(descriptor, zstd):
                self.size += len(chunk)
                if self.size > self._most_bytes:
                    raise Refusal("size", f"it has more than {self._most_bytes} bytes uncompressed")
                self._room.acquire()
                self._queue.put(chunk)
                self._hash.update(chunk)
        except BaseException as error:
            self._error = error
        self._queue.put(None)

    def _next(self) -> bool:
        if self._ended:
            return False
        chunk = self._queue.get()
        if chunk is None:
            self._ended = True
            if self._error is not None:
                raise self._error
            return False
        self._room.release()
        self._chunk = memoryview(chunk)
        self._position = 0
        return True

    def pieces(self, amount: int) -> Iterator[memoryview]:
        """The next `amount` bytes, in pieces as they come; fewer only at the stream's end."""
        while amount:
            piece = self._chunk[self._position : self._position + amount]
            if piece:
                self._position += len(piece)
                amount -= len(piece)
                yield piece
            elif not self._next():
                return

    def read(self, amount: int) -> bytes:
        """The next `amount` bytes; fewer only at the stream's end."""
        end = self._position + amount
        if end <= len(self._chunk):
            data = self._chunk[self._position : end].tobytes()
            self._position = end
            return data
        return b"".join(self.pieces(amount))

    def skip(self, amount: int) -> None:
        """Passes over `amount` bytes; raises Refusal if the stream ends before."""
        end = self._position + amount
        if end <= len(self._chunk):
            self._position = end
            return
        if sum(map(len, self.pieces(amount))) != amount:
            raise Refusal("document", "the archive ends in the middle of an entry")

    def drain(self) -> None:
        """Takes the rest, which belongs to the diff ID though it says nothing."""
        while self._next():
            pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
