"""An attachment carries a container's streams both ways, whole and in order, and never brings it to a halt."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_pods.engine.errors import MonitorLostError
from pytest_pods.engine.services.attachment import DETACH_KEYS, AttachEnd, Attachment
from tests.support.monitored import Monitored, monitored

pytestmark = pytest.mark.root


class Reader:
    """Collects what comes out of a pipe, on a thread, so that no writer blocks."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.content = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self.reading, 65536):
            self.content += chunk

    def finish(self) -> bytes:
        os.close(self.writing)
        self._thread.join()
        os.close(self.reading)
        return self.content


@contextmanager
def readers() -> Iterator[tuple[Reader, Reader]]:
    out, err = Reader(), Reader()
    try:
        yield out, err
    finally:
        for reader in (out, err):
            if reader._thread.is_alive():
                reader.finish()


def attach(
    container: Monitored, out: Reader, err: Reader, *, stdin: int | None = None, tty: bool = False
) -> Attachment:
    return Attachment.open(container.bundle, stdin=stdin, stdout=out.writing, stderr=err.writing, tty=tty)


def write_in_background(content: bytes) -> int:
    """The reading end of a pipe that gets `content` and then its end."""
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(content)

    threading.Thread(target=write).start()
    return reading


def test_both_streams_come_apart_and_nothing_is_missed_from_the_first_byte(tmp_path: Path) -> None:
    with (
        monitored(tmp_path / "c", ["sh", "-c", "echo first; echo second >&2; exit 7"]) as container,
        readers() as (out, err),
        attach(container, out, err) as attachment,
    ):
        container.start()
        assert attachment.relay() is AttachEnd.CONTAINER
        assert (out.finish(), err.finish()) == (b"first\n", b"second\n")
        assert container.wait() == 7


def test_input_of_many_packets_arrives_whole_and_ends(tmp_path: Path) -> None:
    content = os.urandom(500_000)
    reading = write_in_background(content)
    with (
        monitored(tmp_path / "c", ["cat"], stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, stdin=reading) as attachment,
    ):
        container.start()
        assert attachment.relay() is AttachEnd.CONTAINER
        assert out.finish() == content
        assert container.wait() == 0
    os.close(reading)


def test_input_that_the_container_does_not_read_holds_up_no_output(tmp_path: Path) -> None:
    reading = write_in_background(b"x" * 60_000)
    with (
        monitored(tmp_path / "c", ["sh", "-c", "seq 1 50000; exit 3"], stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, stdin=reading) as attachment,
    ):
        container.start()
        assert attachment.relay() is AttachEnd.CONTAINER
        assert out.finish().splitlines()[-1] == b"50000"
        assert container.wait() == 3
    os.close(reading)


def test_relay_ends_when_nobody_reads_the_output_any_more(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (
        monitored(tmp_path / "c", ["yes"]) as container,
        Attachment.open(container.bundle, stdin=None, stdout=writing, stderr=writing) as attachment,
    ):
        container.start()
        os.close(reading)
        assert attachment.relay() is AttachEnd.OUTPUT_CLOSED
    os.close(writing)


def test_terminal_has_the_size_that_it_was_given_before_the_start(tmp_path: Path) -> None:
    with (
        monitored(tmp_path / "c", ["stty", "size"], tty=True, stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, tty=True) as attachment,
    ):
        attachment.resize(rows=33, columns=111)
        container.start()
        assert attachment.relay() is AttachEnd.CONTAINER
        assert out.finish() == b"33 111\r\n"


def test_end_of_input_ends_a_shell_on_a_terminal(tmp_path: Path) -> None:
    reading = write_in_background(b"echo $((40+2)); exit 5\n")
    with (
        monitored(tmp_path / "c", ["sh"], tty=True, stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, stdin=reading, tty=True) as attachment,
    ):
        container.start()
        assert attachment.relay() is AttachEnd.CONTAINER
        assert b"42\r\n" in out.finish()
        assert container.wait() == 5
    os.close(reading)


def test_detach_keys_leave_the_container_running(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (
        monitored(tmp_path / "c", ["sleep", "1000"], tty=True, stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, stdin=reading, tty=True) as attachment,
    ):
        container.start()
        os.write(writing, b"text" + DETACH_KEYS)
        assert attachment.relay(detach_keys=DETACH_KEYS) is AttachEnd.DETACHED
        assert not container.exit_file.exists()
    os.close(reading)
    os.close(writing)


def test_shell_takes_input_again_after_a_detach(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with monitored(tmp_path / "c", ["sh"], tty=True, stdin=True) as container, readers() as (out, err):
        with attach(container, out, err, stdin=reading, tty=True) as attachment:
            container.start()
            os.write(writing, DETACH_KEYS)
            assert attachment.relay(detach_keys=DETACH_KEYS) is AttachEnd.DETACHED
        with attach(container, out, err, stdin=reading, tty=True) as attachment:
            os.write(writing, b"exit 9\n")
            assert attachment.relay(detach_keys=DETACH_KEYS) is AttachEnd.CONTAINER
        assert container.wait() == 9
    os.close(reading)
    os.close(writing)


def test_watched_descriptor_is_served_while_the_container_is_silent(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (
        monitored(tmp_path / "c", ["cat"], stdin=True) as container,
        readers() as (out, err),
        attach(container, out, err, stdin=None) as attachment,
    ):
        container.start()
        os.write(writing, b"!")

        def end() -> None:
            os.read(reading, 1)
            attachment.end_input()

        assert attachment.relay(watch={reading: end}) is AttachEnd.CONTAINER
        assert container.wait() == 0
    os.close(reading)
    os.close(writing)


def test_path_longer_than_the_name_of_a_socket_can_be_is_no_hindrance(tmp_path: Path) -> None:
    with (
        monitored(tmp_path / ("long" * 30) / "c", ["echo", "here"]) as container,
        readers() as (out, err),
        attach(container, out, err) as attachment,
    ):
        container.start()
        attachment.relay()
        assert out.finish() == b"here\n"


def test_attaching_to_an_ended_container_says_so(tmp_path: Path) -> None:
    with monitored(tmp_path / "c", ["true"]) as container:
        container.start()
        container.wait()
        with pytest.raises(MonitorLostError, match="attaching to"):
            Attachment.open(container.bundle, stdin=None, stdout=1, stderr=2)
