"""One pass over a layer's compressed bytes: checked, written to a file, piped to the child that unpacks them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DigestMismatchError, SizeMismatchError
from pytest_pods.engine.host.pipes import Pipe, enlarge_pipe
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.storage.child import Child, Report, start_child
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_pods.engine.host.process import Launcher
    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.storage.limits import LayerLimits


@frozen
class Unpacked:
    """What a layer's stream turned out to be. `notes` says what could not be kept, for people."""

    diff_id: Digest
    size: int
    entries: int
    opaque_root: bool
    notes: tuple[str, ...]


_NOTES = {
    "devices": "{} device nodes left out: a user namespace cannot have them",
    "owners": "{} files belong to root instead of their owner: the user has no subordinate ids",
    "attributes": "{} extended attributes left out",
}


def unpack(
    chunks: Iterable[bytes],
    *,
    descriptor: Descriptor,
    root: Path,
    entries: Path,
    blob: Path | None,
    launcher: Launcher,
    rootless: bool,
    limits: LayerLimits,
) -> Unpacked:
    """Unpacks into the empty directory `root`, writes the list of what is there to `entries` and the bytes to `blob`.

    Raises ContentError of every kind, DiskFullError, StorageError, OSError, and what `chunks` raises. Then what was
    unpacked is worth nothing.
    """
    doing = f"unpacking layer {descriptor.digest.short} into {root}"
    arguments = [
        "unpack",
        str(root),
        str(entries),
        "rootless" if rootless else "rootful",
        str(limits.most_bytes),
        str(limits.most_entries),
        # Nothing to load for what is compressed otherwise.
        find_zstd_path() if descriptor.media_type.endswith("zstd") else "-",
    ]
    with ExitStack() as stack:
        stream, report, complaint = (stack.enter_context(Pipe()) for _ in range(3))
        enlarge_pipe(stream.writing)
        child = start_child(
            launcher, arguments, doing=doing, report=report, complaint=complaint, stream=stream.reading
        )
        stack.callback(_end, child)
        stream.close_reading()
        file = None if blob is None else stack.enter_context(open(blob, "xb", buffering=0))
        complete = _pump(chunks, descriptor, stream.writing, None if file is None else file.fileno())
        stream.close_writing()
        answer = child.get_report()
        if not complete:
            # The child took its end for the stream's; it would have said why it stopped early.
            raise SizeMismatchError(f"{doing}: the child process stopped reading and reported nothing")
    return _read(answer)


def _end(child: Child) -> None:
    if child.process.poll() is None:
        child.process.kill()
        child.process.wait()


def _pump(chunks: Iterable[bytes], descriptor: Descriptor, pipe: int, file: int | None) -> bool:
    """Copies all chunks; False if the child wants no more. Raises DigestMismatchError and SizeMismatchError."""
    hasher = descriptor.digest.hasher()
    left = descriptor.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise SizeMismatchError(f"blob {descriptor.digest.short} is longer than its {descriptor.size} bytes")
        hasher.update(chunk)
        try:
            _write(pipe, chunk)
        except BrokenPipeError:
            return False
        if file is not None:
            _write(file, chunk)
    if left:
        raise SizeMismatchError(
            f"blob {descriptor.digest.short} has {descriptor.size - left} bytes, not {descriptor.size}"
        )
    if not descriptor.digest.matches(hasher):
        raise DigestMismatchError(
            f"blob {descriptor.digest.short} has the digest {descriptor.digest.algorithm}:{hasher.hexdigest()}, "
            f"not {descriptor.digest}",
            hint="the registry, a proxy or the archive delivers damaged content; try another source",
        )
    return True


def _write(descriptor: int, chunk: bytes) -> None:
    written = os.write(descriptor, chunk)
    if written < len(chunk):
        view = memoryview(chunk)[written:]
        while view:
            view = view[os.write(descriptor, view) :]


def _read(answer: Report) -> Unpacked:
    notes = []
    for note in answer.all("note"):
        kind, _, count = note.partition(" ")
        notes.append(_NOTES.get(kind, f"{{}} {kind}").format(count))
    return Unpacked(
        Digest.parse(answer.expect("diff_id")),
        answer.number("size"),
        answer.number("entries"),
        answer.expect("opaque_root") == "1",
        tuple(notes),
    )


def find_zstd_path() -> str:
    """Where the child finds the zstd module; any directory where Python has it."""
    import sys

    if sys.version_info >= (3, 14):
        return str(Path(__file__).parent)
    from backports import zstd

    return str(Path(zstd.__file__).parents[2])
