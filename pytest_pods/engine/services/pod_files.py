"""The files of /etc that a pod's members share. Names of members come and go in place: the file is mounted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.services.etc_files import EtcRequest, build_etc_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.services.creation import HostFacts
    from pytest_pods.engine.services.wiring import Wiring
    from pytest_pods.engine.specs.pods import PodSpec
    from pytest_pods.engine.state.layout import PodLayout


def write_pod_files(
    layout: PodLayout, record: PodRecord, spec: PodSpec, *, wiring: Wiring, facts: HostFacts
) -> None:
    """Writes hosts, hostname and resolv.conf."""
    texts = build_etc_texts(
        EtcRequest(
            mode=record.network,
            ip=record.ip,
            names=(record.hostname, record.name),
            host_hosts=facts.hosts,
            host_resolv_conf=facts.resolv_conf,
            gateway=wiring.gateway,
            servers=wiring.servers,
            dns=spec.dns,
            search=spec.dns_search,
            options=spec.dns_options,
            added=spec.add_hosts,
        )
    )
    layout.hosts_file.write_text(texts.hosts)
    layout.hostname_file.write_text(texts.hostname)
    layout.resolv_file.write_text(texts.resolv_conf)


def add_member_name(hosts_file: Path, *names: str) -> None:
    """Makes members resolve a name to their common loopback, as Podman does: so a service is reached wherever it
    listens."""
    # One write: members may be made at the same moment, also by several processes.
    descriptor = os.open(hosts_file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.write(descriptor, _build_line(names))
    finally:
        os.close(descriptor)


def remove_member_name(hosts_file: Path, *names: str) -> None:
    """The reverse; fine if the name is not there. Raises FileNotFoundError."""
    line = _build_line(names)
    descriptor = os.open(hosts_file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # The last one: before those of members stands what was asked for by add_hosts.
        found = (b"\n" + os.pread(descriptor, os.fstat(descriptor).st_size, 0)).rfind(b"\n" + line)
        if found >= 0:
            # A comment from one byte to the next: whoever reads it sees a whole file, and whoever appends is not moved.
            os.pwrite(descriptor, b"#", found)
    finally:
        os.close(descriptor)


def _build_line(names: Sequence[str]) -> bytes:
    return f"127.0.0.1\t{' '.join(dict.fromkeys(names))}\n".encode()
