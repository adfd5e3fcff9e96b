"""Packets of containers, captured from their first to the last that there is room for, and read back from the file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import InvalidInputError, StorageError
from tests.support import pcapng
from tests.support.fixtures_store import BUSYBOX

SERVE = ["sh", "-c", "echo hello-from-inside > /index.html; exec httpd -f -p 80 -h /"]


def test_exchange_over_http_is_in_the_file(engine: Engine, tmp_path: Path) -> None:
    network = engine.create_network("shop")
    web = engine.run(BUSYBOX, SERVE, name="web", networks=["shop"], wait=waits.port(80))
    client = engine.run(BUSYBOX, ["sleep", "1000"], networks=["shop"])
    began = time.time_ns()
    with web.capture(tmp_path / "web.pcapng"):
        assert client.succeed("wget -qO- http://web/?asked") == "hello-from-inside\n"
        web.succeed("wget -qO- http://127.0.0.1/?inside")
    client.succeed("wget -qO- http://web/?later")
    found = pcapng.read(tmp_path / "web.pcapng")
    assert {packet.interface for packet in found.packets} >= {"lo", "eth0"}
    assert all(began <= packet.at_ns <= time.time_ns() for packet in found.packets)
    for text in (b"GET /?asked", b"hello-from-inside", b"GET /?inside"):
        assert found.holds(text)
    assert not found.holds(b"later")
    inside = [packet for packet in found.packets if b"GET /?inside" in packet.content]
    assert [packet.interface for packet in inside] == ["lo"]
    assert os.listdir(tmp_path) == ["web.pcapng"]
    del network


def test_first_packet_after_the_start_is_there(engine: Engine, tmp_path: Path) -> None:
    script = "httpd -p 80 -h /; wget -qO- http://127.0.0.1/etc/hostname?first"
    container = engine.create(BUSYBOX, ["sh", "-c", script], network="none")
    capture = container.capture()
    container.start()
    container.wait(timeout=30)
    capture.save(tmp_path / "one.pcapng")
    capture.close()
    assert pcapng.read(tmp_path / "one.pcapng").holds(b"?first")


def test_last_packets_are_kept_of_more_than_there_is_room_for(engine: Engine, tmp_path: Path) -> None:
    container = engine.run(BUSYBOX, SERVE, network="none", wait=waits.port(80))
    container.succeed("dd if=/dev/zero of=/big bs=64k count=16 2>&1")
    with container.capture(tmp_path / "some.pcapng", most_bytes=1 << 18):
        container.succeed("wget -qO- http://127.0.0.1/index.html?early")
        for _ in range(4):
            container.succeed("wget -qO /dev/null http://127.0.0.1/big")
        container.succeed("wget -qO- http://127.0.0.1/index.html?late")
    assert (tmp_path / "some.pcapng").stat().st_size < (1 << 18) + 4096
    found = pcapng.read(tmp_path / "some.pcapng")
    assert found.holds(b"?late")
    assert not found.holds(b"?early")


def test_file_that_cannot_be_written_and_the_hosts_network_are_named(engine: Engine, tmp_path: Path) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    with pytest.raises(StorageError, match=r"writing packets to .*absent.*: No such file"), container.capture(
        tmp_path / "absent" / "x.pcapng"
    ):
        pass
    host = engine.run(BUSYBOX, ["sleep", "1000"], network="host")
    with pytest.raises(InvalidInputError, match="in the host's network"):
        host.capture()
    with container.capture(tmp_path / "none.pcapng"):
        pass
    assert pcapng.read(tmp_path / "none.pcapng").packets == []
