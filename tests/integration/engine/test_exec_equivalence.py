"""The fast exec and runc's own: a command sees and may do the same by either way."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX

LOOK = r"""
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|SigBlk|SigIgn|Umask)' /proc/self/status
echo "cgroup: $(cat /proc/self/cgroup)"
echo "limits: $(cat /proc/self/limits)"
echo "oom: $(cat /proc/self/oom_score_adj)"
for kind in mnt pid net ipc uts user cgroup; do echo "$kind: $(readlink /proc/self/ns/$kind)"; done
echo "cwd: $(pwd)"
echo "root: $(ls /)"
env | sort | sed 's/^/env: /'
echo "descriptors: $(ls /proc/self/fd | wc -l)"
echo "exe: $(readlink /proc/$$/exe)"
unshare -m true 2>/dev/null && echo "unshare: yes" || echo "unshare: no"
echo x > /proc/sys/kernel/hostname 2>/dev/null && echo "sysctl: yes" || echo "sysctl: no"
mknod /tmp/null c 1 3 2>/dev/null && echo "mknod: yes" || echo "mknod: no"; rm -f /tmp/null
"""


CONTAINERS: dict[str, dict[str, Any]] = {
    "default": {},
    "ordinary user": {"user": "1000:1000"},
    "few capabilities": {"cap_drop": ["ALL"], "cap_add": ["CHOWN"]},
    "no new privileges": {"no_new_privileges": True},
    "privileged": {"privileged": True},
    "without seccomp": {"seccomp": False},
    "read only": {"read_only": True, "tmpfs": ["/tmp"]},
    "host network": {"network": "host"},
    "terminal": {"tty": True},
}
EXECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another user": {"user": "4242:1", "env": {"A": "b c", "PATH": "/bin:/usr/bin"}, "workdir": "/tmp"},
    "root": {"user": "root"},
    "privileged": {"privileged": True},
}


@pytest.mark.parametrize("asked", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("how", EXECS.values(), ids=EXECS)
def test_fast_exec_equals_the_runtimes(engine: Engine, asked: dict[str, Any], how: dict[str, Any]) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], **{"network": "none", **asked})
    fast = container.exec(["sh", "-c", LOOK], **how)
    plain = container.exec(["sh", "-c", LOOK], through_runtime=True, **how)
    assert (fast.exit_code, fast.stderr) == (plain.exit_code, plain.stderr)
    assert _comparable(fast.stdout) == _comparable(plain.stdout)


def _comparable(text: str) -> list[str]:
    # Each process has its own directory below /proc. Signals 32 and 33 are the C library's own: no program can set
    # them, and whether they are ignored comes from whoever started the test run.
    text = re.sub(r"/proc/\d+", "/proc/N", text)
    return re.sub(
        r"SigIgn:\s+([0-9a-f]+)", lambda match: f"SigIgn {int(match[1], 16) & ~(3 << 31):x}", text
    ).splitlines()
