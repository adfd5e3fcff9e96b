"""The kernel is tried out in a child, whose answers are read whatever it managed to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.host.probing import Probe, parse_answers, probe_kernel


def test_answers_are_told_apart_by_the_longest_name() -> None:
    answers = parse_answers("overlay ok\noverlay volatile Invalid argument\nodd line\n\ntun No such device\n")
    assert answers == {
        "overlay": Probe(True),
        "overlay volatile": Probe(False, "Invalid argument"),
        "tun": Probe(False, "No such device"),
    }


@pytest.mark.root
def test_probes_run_as_root_and_leave_the_directory_empty(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    probes = probe_kernel(scratch=scratch, store=tmp_path)
    assert probes.overlay.works, probes.overlay.reason
    assert list(scratch.iterdir()) == []
