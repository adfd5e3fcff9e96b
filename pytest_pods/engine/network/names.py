"""What aardvark-dns reads, and the rules that lead questions to it. Pure texts (aardvark-dns's config; nft(8))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pods.engine.network_records import NetworkRecord

SEARCH_DOMAIN = "dns.podman"
"""Names are also found below it; as Podman has it, since aardvark-dns knows no other."""
TABLE = "pytest_pods_names"
FIRST_PORT = 20000
MOST_SERVERS = 4096
"""Ports from `FIRST_PORT` on that belong to name servers of the session."""


@frozen
class NameEntry:
    """Who is called what on one network. `servers` are the name servers that its other questions go to."""

    owner: str
    ips: tuple[str, ...]
    names: tuple[str, ...]
    servers: tuple[str, ...] = ()

    def to_line(self) -> str:
        """As aardvark-dns has it: ID, IPv4 addresses, IPv6 addresses, names, servers."""
        four = ",".join(ip for ip in self.ips if ":" not in ip)
        six = ",".join(ip for ip in self.ips if ":" in ip)
        words = [self.owner, four, six, ",".join(self.names)]
        return " ".join([*words, ",".join(self.servers)] if self.servers else words)

    @classmethod
    def from_line(cls, line: str) -> NameEntry:
        owner, four, six, names, *servers = line.split(" ")
        ips = (*four.split(","), *six.split(","))
        return cls(
            owner,
            tuple(ip for ip in ips if ip),
            tuple(names.split(",")),
            tuple(servers[0].split(",")) if servers else (),
        )


def parse_entries(content: str) -> list[NameEntry]:
    """Reads the names file of a network."""
    return [NameEntry.from_line(line) for line in content.splitlines() if line]


def build_entries(entries: Sequence[NameEntry]) -> str:
    return "".join(f"{entry.to_line()}\n" for entry in entries)


def build_server_file(record: NetworkRecord, entries: str, *, upstream: Sequence[str], generation: str) -> str:
    """One network's file: where to listen and whom to ask, then who is called what.

    The gateway is in it too: under a name that tells which generation is loaded, since aardvark-dns answers only those
    whom it knows.
    """
    gateways = tuple(str(address) for address in record.gateways)
    own = NameEntry("0" * 64, gateways, (generation,))
    return f"{','.join(gateways)} {','.join(upstream)}".rstrip() + f"\n{own.to_line()}\n{entries}"


def build_table() -> str:
    """`nft -f` input that makes the table anew, leading nobody anywhere yet.

    Questions are led without connection tracking, so that from one packet to the next another server answers.
    """
    last = FIRST_PORT + MOST_SERVERS - 1
    asked = "".join(f"  udp dport 53 udp dport set {family} daddr map @{name} notrack\n" for family, name in _MAPS)
    streams = "".join(f"  tcp dport 53 redirect to :{family} daddr map @{name}\n" for family, name in _MAPS)
    answered = f"  udp sport {FIRST_PORT}-{last} notrack udp sport set 53\n"
    return (
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
        " map servers { type ipv4_addr : inet_service; }\n map servers6 { type ipv6_addr : inet_service; }\n"
        f" chain questions {{\n  type filter hook prerouting priority raw\n{asked} }}\n"
        f" chain own {{\n  type filter hook output priority raw\n{asked}{answered} }}\n"
        f" chain streams {{\n  type nat hook prerouting priority dstnat\n{streams} }}\n"
        f" chain own_streams {{\n  type nat hook output priority -100\n{streams} }}\n}}\n"
    )


_MAPS = (("ip", "servers"), ("ip6", "servers6"))


def build_direction(gateways: Sequence[str], port: int) -> str:
    """`nft -f` input that, in one step, leads questions on port 53 of the gateways, and of no others, to `port`.

    Only elements of a map change: for a change of chains the kernel waits until no processor uses the old ones.
    """
    lines = []
    for family, name in _MAPS:
        lines.append(f"flush map inet {TABLE} {name}")
        elements = [f"{gateway} : {port}" for gateway in gateways if (":" in gateway) == (family == "ip6")]
        if elements:
            lines.append(f"add element inet {TABLE} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def build_question(name: str, number: int, *, six: bool = False) -> bytes:
    """A query for the A records of a name, or the AAAA ones (RFC 1035, 4.1; RFC 3596)."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    header = number.to_bytes(2, "big") + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    return header + labels + b"\0" + (28 if six else 1).to_bytes(2, "big") + b"\0\x01"


def is_positive(answer: bytes) -> bool:
    """Whether a server's answer says that the name exists."""
    return len(answer) >= 12 and answer[3] & 0xF == 0
