"""`stats`, `pod stats` and `top` on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pods.cli.main import INTERRUPTED
from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX
from tests.support.fixtures_user import StartUser
from tests.support.images import busybox_image

RUN = ("run", "-d", "--network", "none", "--stop-timeout", "0")
COLUMNS = ["ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS", "CPU TIME", "AVG CPU %"]
POD_COLUMNS = ["POD", "CID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS"]
SIZE = r"[\d.]+(?:B|[kMGT]B)"
NOTHING = ["--", "-- / --", "--", "-- / --"]


def cells(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line) for line in table.splitlines()]


def await_processes(look: Callable[[], str]) -> list[list[str]]:
    """The rows, once the shell of a container has started its `sleep 1000`."""
    while True:
        rows = [line.split(maxsplit=5) for line in look().splitlines()]
        if rows[-1][-1] == "sleep 1000":
            return rows


@pytest.fixture
def box(cli: CommandLine) -> str:
    return cli.ok(*RUN, "--name", "box", BUSYBOX, "sleep", "1000")


def test_running_containers_are_shown_with_what_they_use(cli: CommandLine, box: str) -> None:
    cli.ok("create", "--name", "new", BUSYBOX, "true")
    header, row = cells(cli.ok("stats", "--no-stream"))
    assert header == COLUMNS
    assert row[:2] == [box[:12], "box"]
    for cell, pattern in zip(
        row[2:],
        (r"[\d.]+%", f"{SIZE} / {SIZE}", r"[\d.]+%", "0B / 0B", f"({SIZE}|--) / ({SIZE}|--)", r"\d+", r"[\d.]+s",
         r"[\d.]+%"),
        strict=True,
    ):  # fmt: skip
        assert re.fullmatch(pattern, cell), (cell, pattern)


def test_containers_that_do_not_run_use_nothing_now(cli: CommandLine, box: str) -> None:
    cli.ok("run", "--name", "done", "--network", "none", BUSYBOX, "true")
    cli.ok("create", "--name", "new", BUSYBOX, "true")
    shown = {row[1]: row for row in cells(cli.ok("stats", "--all", "--no-stream"))[1:]}
    assert [*shown] == ["box", "done", "new"]
    assert shown["new"][2:] == [*NOTHING, "-- / --", "--", "--", "--"]
    assert (shown["done"][2:6], shown["done"][7]) == (NOTHING, "--")
    named = cli.ok("stats", "--no-stream", "--format", "{{.Name}} {{.PIDS}}", "new", box[:12])
    assert re.fullmatch(r"new --\nbox \d+", named)


def test_formats_have_texts_for_people_and_numbers_for_programs(cli: CommandLine, box: str) -> None:
    cli.ok("create", "--name", "new", BUSYBOX, "true")
    first, second = cli.json("stats", "--no-stream", "--format", "json", "box", "new")
    assert (first["id"], first["name"]) == (box[:12], "box")
    assert re.fullmatch(f"{SIZE} / {SIZE}", first["mem_usage"])
    numbers = first["stats"]
    assert (numbers["id"], numbers["running"], str(numbers["pids"])) == (box, True, first["pids"])
    assert 0 < numbers["memory"] < numbers["memory_limit"]
    assert (second["name"], second["mem_usage"], second["stats"]) == ("new", "-- / --", None)
    assert cli.ok("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}:{{.Name}}") == f"{box}:box"
    table = cli.ok("container", "stats", "--no-stream", "--format", "table {{.Name}}\\t{{.MemUsageBytes}}")
    assert re.fullmatch(r"NAME +MEM USAGE BYTES\nbox +[\d.]+[KM]?i?B / [\d.]+[MGT]iB", table)


def test_interfaces_and_limits_are_among_the_numbers(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--stop-timeout", "0", "--memory", "64m", BUSYBOX, "sleep", "1000")
    (document,) = cli.json("stats", "--no-stream", "--format", "json")
    assert document["mem_usage"].endswith(" / 67.1MB")
    assert document["stats"]["memory_limit"] == 64 << 20
    assert [*document["stats"]["interfaces"]] == ["eth0"]


def test_streams_below_each_other_until_what_was_named_is_removed(cli: CommandLine, box: str) -> None:
    with cli.process("stats", "--interval", "0.05", "box") as process:
        assert process.stdout is not None
        seen = [process.stdout.readline().decode() for _ in range(4)]
        assert [line.split()[0] for line in seen] == ["ID", box[:12], "ID", box[:12]]
        cli.ok("stop", "box")
        while " -- / -- " not in process.stdout.readline().decode():
            pass
        cli.ok("rm", "box")
        rest = process.stdout.read().decode()
        assert process.wait(timeout=30) == 0
    assert "\033" not in rest


def test_container_that_goes_by_itself_ends_its_stream(cli: CommandLine) -> None:
    cli.ok(*RUN, "--rm", "--name", "short", BUSYBOX, "sh", "-c", "until test -e /go; do sleep 0.05; done")
    with cli.process("stats", "--interval", "0.05", "--format", "{{.Name}}", "short") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"short\n"
        cli.ok("exec", "short", "touch", "/go")
        assert set(process.stdout.read().split()) <= {b"short"}
        assert process.wait(timeout=30) == 0
    assert cli.ok("ps", "-aq") == ""


def test_stream_of_documents_has_an_array_for_each_look_and_who_comes_is_in_it(cli: CommandLine) -> None:
    decoder = json.JSONDecoder()
    with cli.process("stats", "-i", "0.05", "--format", "json") as process:
        assert process.stdout is not None
        text = ""
        names: list[list[str]] = []

        def read_one() -> list[str]:
            nonlocal text
            while True:
                try:
                    documents, end = decoder.raw_decode(text.lstrip())
                except json.JSONDecodeError:
                    assert process.stdout is not None
                    line = process.stdout.readline().decode()
                    assert line
                    text += line
                    continue
                text = text.lstrip()[end:]
                return [one["name"] for one in documents]

        names.append(read_one())
        cli.ok(*RUN, "--name", "late", BUSYBOX, "sleep", "1000")
        while names[-1] != ["late"]:
            names.append(read_one())
    assert names[0] == []


def test_terminal_shows_one_table_in_its_place_until_it_is_interrupted(cli: CommandLine, box: str) -> None:
    cli.ok(*RUN, "--name", "other", BUSYBOX, "sleep", "1000")
    with cli.terminal("stats", "-i", "0.05", rows=10, columns=40) as typist:
        typist.expect(r"\x1b\[2J\x1b\[HID +NAME ")
        row = typist.expect(rf"\x1b\[K\r\n({box[:12]} [^\x1b]*)\x1b\[K\r\n")
        assert len(row[1]) == 40
        typist.expect(r"\x1b\[J\x1b\[HID +NAME ")
        cli.ok("rm", "-f", "other")
        typist.expect(rf"\x1b\[HID[^\r]*\r\n{box[:12]}[^\r]*\r\n\x1b\[J")
        typist.type("\x03")
        assert typist.wait() == INTERRUPTED


def test_terminal_is_not_drawn_over_where_that_is_asked_for(cli: CommandLine, box: str) -> None:
    with cli.terminal("stats", "-i", "0.05", "--no-reset", columns=200) as typist:
        typist.expect("AVG CPU %\r\n")
        typist.expect(f"{box[:12]}.*%\r\nID +NAME")
        typist.type("\x03")
        typist.wait()
    with cli.terminal("stats", "--no-stream", columns=200) as typist:
        assert typist.wait() == 0
        assert "\x1b" not in typist.seen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stats", "--no-stream", "none", "box"), "no container 'none'"),
        (("stats", "--all", "box"), "--all shows every container"),
        (("stats", "--interval", "0"), "'0' is no number of seconds"),
        (("stats", "-i", "soon"), "'soon' is no number of seconds"),
        (("stats", "-i", "nan"), "'nan' is no number of seconds"),
        (("stats", "--no-stream", "--format", "{{.Nothing}}"), "there is no 'Nothing'"),
        (("pod", "stats", "none"), "no pod 'none'"),
        (("pod", "stats", "-a", "none"), "--all shows every pod"),
        (("top", "none"), "no container 'none'"),
        (("top",), "missing CONTAINER"),
    ],
)
def test_what_cannot_be_meant_is_named(cli: CommandLine, box: str, words: tuple[str, ...], said: str) -> None:
    done = cli(*words)
    assert (done.returncode, done.stdout) == (125, "")
    assert said in done.stderr


def test_containers_of_pods_are_shown_with_their_pod(cli: CommandLine, box: str) -> None:
    pod = cli.ok("pod", "create", "--network", "none", "shop")
    for name in ("web", "db"):
        cli.ok("run", "-d", "--stop-timeout", "0", "--pod", "shop", "--name", name, BUSYBOX, "sleep", "1000")
    header, *rows = cells(cli.ok("pod", "stats", "--no-stream"))
    assert header == POD_COLUMNS
    assert [(row[0], row[2]) for row in rows] == [(pod[:12], "web"), (pod[:12], "db")]
    assert all(int(row[-1]) > 0 for row in rows)
    cli.ok("kill", "db")
    template = ("--format", "{{.PodName}} {{.Member}} {{.CPU}} {{.PIDS}}")
    assert [line.split()[:2] for line in cli.ok("pod", "stats", "--no-stream", *template).splitlines()] == [
        ["shop", "web"]
    ]
    for words in (("shop",), ("--all",)):
        lines = cli.ok("pod", "stats", "--no-stream", *template, *words).splitlines()
        assert lines[1] == "shop db -- --"
    first, second = cli.json("pod", "stats", "--no-stream", "--format", "json", "shop")
    assert (first["Pod"], first["Name"], first["Stats"]["running"]) == (pod[:12], "web", True)
    assert (second["Name"], second["MemUsage"]) == ("db", "-- / --")


def test_stream_of_a_pod_ends_with_it(cli: CommandLine) -> None:
    cli.ok("pod", "create", "--network", "none", "shop")
    with cli.process("pod", "stats", "-i", "0.05", "--format", "{{.Name}}", "shop") as process:
        cli.ok("run", "-d", "--stop-timeout", "0", "--pod", "shop", "--name", "web", BUSYBOX, "sleep", "1000")
        assert process.stdout is not None
        assert process.stdout.readline() == b"web\n"
        cli.ok("pod", "rm", "-f", "shop")
        assert set(process.stdout.read().split()) <= {b"web"}
        assert process.wait(timeout=30) == 0


def test_processes_of_a_container_are_shown(cli: CommandLine) -> None:
    cli.ok(*RUN, "--name", "box", "--user", "7", BUSYBOX, "sh", "-c", "sleep 1000; true")
    header, *rows = await_processes(lambda: cli.ok("top", "box"))
    assert header == ["USER", "PID", "PPID", "CPU", "MEMORY", "COMMAND"]
    assert [(row[0], row[2], row[5]) for row in rows] == [
        ("7", "0", "sh -c sleep 1000; true"),
        ("7", "1", "sleep 1000"),
    ]
    cli.ok("kill", "box")
    done = cli("top", "box")
    assert done.returncode == 125
    assert "container box does not run (it is exited)" in done.stderr


@pytest.mark.root
@pytest.mark.rootless
def test_ordinary_user_sees_what_the_processes_use(user_on: StartUser) -> None:
    run = user_on("true", busybox_image(), BUSYBOX)
    done = run(*RUN, "--name", "box", "--user", "1000", BUSYBOX, "sh", "-c", "sleep 1000; true")
    assert done.returncode == 0, done.stderr
    _, *rows = await_processes(lambda: run("top", "box").stdout)
    assert [(row[0], row[2], row[5]) for row in rows] == [
        ("1000", "0", "sh -c sleep 1000; true"),
        ("1000", "1", "sleep 1000"),
    ]
    shown = run("stats", "--no-stream", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    (document,) = json.loads(shown.stdout)
    assert (document["name"], document["pids"]) == ("box", "2")
    assert document["stats"]["memory"] > 0
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        assert document["stats"]["estimated"] == ["cpu_ns", "memory", "pids"]
        assert document["block_io"] == "-- / --"
