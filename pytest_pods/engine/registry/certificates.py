"""Which authorities are trusted for a registry: the system's, and files that the user or an administrator added."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

DIRECTORIES = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
_SUFFIXES = (".crt", ".pem")


@frozen
class TrustedAuthorities:
    """`ca` is a file, or a directory: of certificates, or of one directory a registry (`<host:port>/ca.crt`)."""

    ca: Path | None = None
    directories: tuple[Path, ...] = DIRECTORIES

    def files_for(self, address: str) -> tuple[Path, ...]:
        """The certificates to trust for `address` (host or host:port) beyond the system's."""
        files = [file for directory in self.directories for file in _certificates(directory / address)]
        if self.ca is None:
            return tuple(files)
        if not self.ca.exists():
            raise InvalidSettingError(f"the certificate authority {self.ca} does not exist")
        if self.ca.is_dir():
            return (*files, *_certificates(self.ca), *_certificates(self.ca / address))
        return (*files, self.ca)

    def context_for(self, address: str) -> ssl.SSLContext:
        """A context for connections to `address`; raises InvalidSettingError for a file that cannot be read."""
        # The system's store has what administrators installed; the HTTP library's own bundle does not.
        context = ssl.create_default_context()
        for file in self.files_for(address):
            try:
                context.load_verify_locations(file)
            except OSError as error:
                raise InvalidSettingError(f"cannot read the certificate authority {file}: {error}") from error
        return context


def _certificates(directory: Path) -> Iterable[Path]:
    try:
        return sorted(file for file in directory.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    except OSError:
        return ()
