"""Processes, from the texts of their files in /proc."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_pods.engine.runtime.processes import (
    ContainerProcess,
    ProcessTexts,
    count_pid_namespaces,
    parse_process,
    parse_proportional_memory,
)

_TEXTS = ProcessTexts(
    status="Name:\t(a) b\nUid:\t1\t1000\t3\t4\nVmRSS:\t    1504 kB\nThreads:\t3\nNSpid:\t4711\t34\t1\n",
    stat="4711 ((a) b) S 22 34 34 0 -1 4194560 97 0 0 0 150 50 30 20 20 0 3 0 1234 5 6\n",
    command_line=b"sh\0-c\0sleep 1; true\0",
)


def test_process_has_its_own_and_its_ended_childrens_time() -> None:
    assert parse_process(_TEXTS, ticks_per_s=100) == ContainerProcess(
        pid=1,
        parent=22,
        user=1000,
        cpu_ns=2_000_000_000,
        waited_cpu_ns=500_000_000,
        memory=1504 * 1024,
        threads=3,
        command="sh -c sleep 1; true",
    )


def test_process_without_arguments_and_memory_has_its_name() -> None:
    status = "\n".join(line for line in _TEXTS.status.splitlines() if not line.startswith("VmRSS"))
    process = parse_process(replace(_TEXTS, status=status, command_line=b""), ticks_per_s=100)
    assert (process.command, process.memory) == ("[(a) b]", 0)


@pytest.mark.parametrize("stat", ["", "4711 (sh) S"], ids=["empty", "cut off"])
def test_text_of_a_process_that_went_meanwhile_is_refused(stat: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse_process(replace(_TEXTS, stat=stat), ticks_per_s=100)


def test_share_of_what_is_mapped_is_the_proportional_one() -> None:
    text = "00400000-7fff ---p 00000000 00:00 0    [rollup]\nRss:    1504 kB\nPss:      16 kB\nPss_Anon:  8 kB\n"
    assert parse_proportional_memory(text) == 16 * 1024
    assert parse_proportional_memory("") is None


def test_namespaces_are_counted_from_the_readers_on() -> None:
    assert count_pid_namespaces(_TEXTS.status) == 3
