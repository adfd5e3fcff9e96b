"""Two hosts out of namespaces: each has a network and mounts of its own, a cable is between them, and one of them lets
the other in by ssh. For root alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.leaks import wait_until_clean

ADDRESSES = ("10.98.76.1", "10.98.76.2")
_KEEP = "import sys; print('here', flush=True); sys.stdin.read()"


@dataclass(frozen=True, slots=True)
class Host:
    """One of them; `keeper` is a process in it that ends when this one closes its input."""

    keeper: subprocess.Popen[str]
    address: str

    def argv(self, *argv: str) -> list[str]:
        """A command line that executes there."""
        pid = str(self.keeper.pid)
        return ["nsenter", "--target", pid, "--net", "--mount", "--wdns=/", "--", *argv]

    def run(self, *argv: str) -> str:
        done = subprocess.run(self.argv(*argv), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout


@contextmanager
def two_hosts(directory: Path) -> Iterator[tuple[Host, Host, Path]]:
    """The two, and a configuration of ssh with which the first gets to the second, as `there`."""
    with ExitStack() as stack:
        here, there = (stack.enter_context(_start_host(address)) for address in ADDRESSES)
        here.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(there.keeper.pid))
        for host in (here, there):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "cable")
            host.run("ip", "link", "set", "cable", "up")
        yield here, there, stack.enter_context(_let_in(directory, there))


@contextmanager
def _start_host(address: str) -> Iterator[Host]:
    keeper = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-c", _KEEP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    with keeper, keeper.stdin, keeper.stdout:
        assert keeper.stdout.readline() == "here\n"
        yield Host(keeper, address)


@contextmanager
def _let_in(directory: Path, host: Host) -> Iterator[Path]:
    keys = [directory / name for name in ("host_key", "user_key")]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    server = directory / "sshd_config"
    server.write_text(
        f"ListenAddress {host.address}\nPort 22\nHostKey {keys[0]}\nAuthorizedKeysFile {keys[1]}.pub\nStrictModes no\n"
        "PidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
    )
    client = directory / "ssh_config"
    client.write_text(
        f"Host there\nHostName {host.address}\nUser root\nIdentityFile {keys[1]}\nIdentitiesOnly yes\nBatchMode yes\n"
        f"StrictHostKeyChecking no\nUserKnownHostsFile {directory / 'known_hosts'}\nLogLevel ERROR\n"
    )
    # Where sshd gives up its rights: not every machine has the directory.
    host.run("mount", "-t", "tmpfs", "run", "/run")
    host.run("mkdir", "-m", "755", "/run/sshd")
    log = directory / "sshd.log"
    with log.open("w") as output:
        process = subprocess.Popen(host.argv("/usr/sbin/sshd", "-D", "-e", "-f", str(server)), stderr=output)
    try:
        assert not wait_until_clean(
            lambda: [] if "Server listening" in log.read_text() else [log.read_text()], patience_s=30
        )
        yield client
    finally:
        process.terminate()
        process.wait()
