"""Certificates for test servers, made by the `openssl` program: an authority and what it issues for the loopback."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key and its certificate; `chain_file` has the authority's certificate after it."""

    key_file: Path
    certificate_file: Path
    chain_file: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a directory."""

    directory: Path

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    @classmethod
    def create(cls, directory: Path) -> Authority:
        directory.mkdir(parents=True)
        authority = cls(directory)
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", "/CN=test authority", "-keyout", directory / "ca.key", "-out", authority.ca_file),
        )
        return authority

    def issue(self, name: str) -> Certificate:
        """A certificate for `name`, localhost, 127.0.0.1 and ::1."""
        key, request, certificate, chain = (
            self.directory / f"{name}.{suffix}" for suffix in ("key", "csr", "crt", "chain")
        )
        extensions = self.directory / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nbasicConstraints=CA:FALSE\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", self.directory / "ca.key"),
            *("-set_serial", "2", "-days", "2", "-extfile", extensions, "-out", certificate),
        )
        chain.write_bytes(certificate.read_bytes() + self.ca_file.read_bytes())
        return Certificate(key, certificate, chain)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
