"""Captures the packets of a container's network on a thread, into files without a name, and writes them down when it is
asked to. Of more than it may keep, the last are kept."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pytest_pods.engine.errors import InvalidInputError, NetworkError, StorageError
from pytest_pods.engine.host.packets import ALL_PROTOCOLS, RETIRE_S, Packet, PacketRing
from pytest_pods.engine.host.pipes import Pipe
from pytest_pods.engine.network import pcapng
from pytest_pods.engine.services.placement import find_network_namespace

if TYPE_CHECKING:
    from os import PathLike

    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.sessions import Session

MOST_BYTES = 64 << 20
_PATIENCE_S = RETIRE_S * 4
"""For packets in a block that is not full: the kernel tells of them only when it hands that over."""


class Capture:
    """The packets of a network namespace from its making until `stop`; a context manager. Thread-safe."""

    def __init__(
        self, ring: PacketRing, *, most_bytes: int = MOST_BYTES, path: str | PathLike[str] | None = None
    ) -> None:
        """With `path`, the file is written when the block is left."""
        self._ring = ring
        self._path = path
        self._lock = threading.Lock()
        self._half = most_bytes // 2
        self._interfaces: dict[int, tuple[int, bytes]] = {}
        self._files: list[IO[bytes]] = [tempfile.TemporaryFile()]  # noqa: SIM115 - closed by `close`
        self._dropped = 0
        self._fault: OSError | None = None
        self._end = Pipe()
        self._running = True
        self._thread = threading.Thread(target=self._run, name="pytest-pods capture", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._fault is None and self._ring.wait(self._end.reading):
            with self._lock:
                self._take()

    def _take(self) -> None:
        try:
            for packet in self._ring.take():
                self._note(packet)
        except OSError as error:
            self._fault = error

    def _note(self, packet: Packet) -> None:
        number = self._find_number(packet)
        if number is None:
            return
        file = self._files[-1]
        block = pcapng.build_packet(
            number, packet.at_ns, packet.content, length=packet.length, outgoing=packet.outgoing
        )
        if file.tell() + len(block) > self._half:
            file = self._begin_file()
        file.write(block)

    def _begin_file(self) -> IO[bytes]:
        """What is older than the last file goes."""
        while len(self._files) > 1:
            self._files.pop(0).close()
        self._files.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed by `close`
        return self._files[-1]

    def _find_number(self, packet: Packet) -> int | None:
        known = self._interfaces.get(packet.interface)
        if known is not None:
            return known[0]
        link_type = pcapng.find_link_type(packet.hardware)
        if link_type is None:
            return None
        name = self._ring.find_name(packet.interface)
        number = len(self._interfaces)
        self._interfaces[packet.interface] = (number, pcapng.build_interface(link_type, name))
        return number

    def save(self, path: str | PathLike[str]) -> None:
        """Writes what was captured so far as a pcapng file, which takes its name when it is whole. Raises
        StorageError."""
        target = Path(path)
        part = target.with_name(f"{target.name}.{os.urandom(4).hex()}.part")
        try:
            with open(part, "xb") as file:
                self._write(file)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StorageError(f"writing packets to {target}: {error.strerror}") from error

    def _write(self, file: IO[bytes]) -> None:
        if self._running:
            time.sleep(_PATIENCE_S)
        with self._lock:
            if self._running:
                self._take()
                self._dropped = self._ring.count_dropped()
            if self._fault is not None:
                raise self._fault
            file.write(pcapng.build_section())
            for _, block in self._interfaces.values():
                file.write(block)
            for kept in self._files:
                _copy(kept, file)
            if self._dropped and self._interfaces:
                file.write(pcapng.build_statistics(0, time.time_ns(), dropped=self._dropped))

    def stop(self) -> None:
        """What comes from now on is not captured any more; what was can still be saved."""
        if not self._running:
            return
        time.sleep(_PATIENCE_S)
        self._end_thread()
        self._take()
        self._dropped = self._ring.count_dropped()
        self._ring.close()

    def _end_thread(self) -> None:
        self._running = False
        self._end.close_writing()
        self._thread.join()
        self._end.close_reading()

    def close(self) -> None:
        """Nothing of it stays, at once."""
        if self._running:
            self._end_thread()
            self._ring.close()
        for file in self._files:
            file.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
            if self._path is not None:
                self.save(self._path)
        finally:
            if self._path is not None:
                self.close()


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    import shutil

    source.seek(0)
    shutil.copyfileobj(source, target)
    source.seek(0, os.SEEK_END)


def start_capture(
    session: Session, record: ContainerRecord, *, most_bytes: int, path: str | PathLike[str] | None
) -> Capture:
    """Raises InvalidInputError for the host's network, NetworkError, SystemCallError."""
    namespace = find_network_namespace(session.layout, record)
    if namespace is None:
        raise InvalidInputError(
            f"container {record.name} is in the host's network, whose packets are not its own",
            hint="give it a network of its own",
        )
    sandbox = session.start()
    packets = sandbox.socket(socket.AF_PACKET, socket.SOCK_RAW, ALL_PROTOCOLS, network_namespace=namespace)
    try:
        ring = PacketRing(packets)
    except OSError as error:
        packets.close()
        raise NetworkError(f"capturing packets of container {record.name}: {error.strerror}") from error
    return Capture(ring, most_bytes=most_bytes, path=path)
