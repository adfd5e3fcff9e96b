"""What the test and demo images are made of: packages, files of our own, and how they start."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.images.layers import account_entries
from tests.support.images import Entry

POSTGRES_UID = 999
REDIS_UID = 998
APP_UID = 1000

# Needed by installation scripts only, or left out because the image does without: the JIT compiler of PostgreSQL alone
# is larger than the rest.
WITHOUT = (
    "debconf", r"debconf-2\.0", "cdebconf", "dpkg", "perl.*", "libperl.*", "init-system-helpers", "lsb-base",
    "sysvinit-utils", "ucf", "adduser", "ssl-cert", "locales", "locales-all", "postgresql-common.*",
    "postgresql-client-common", r"libllvm\d+.*", "python3-distutils", "mailcap", "mime-support", "sensible-utils",
    "logsave", "netbase", "ca-certificates", "openssl", "passwd", "login", "bash", "sed", "gawk", "mawk", "tar",
)  # fmt: skip

BASE_PACKAGES = ("libc6", "libc-bin", "dash", "coreutils", "base-files", "tzdata")

POSTGRES_ENTRYPOINT = """\
#!/bin/sh
# First start: makes the cluster with the user, password and database that the environment names. Then runs the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "POSTGRES_PASSWORD is not set; the database would be open to everybody" >&2
        exit 1
    fi
    printf '%s\\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \\
        --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions >/dev/null
    rm /tmp/password
    printf 'host all all all scram-sha-256\\n' >>"$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\\njit = off\\nunix_socket_directories = '/tmp'\\nshared_buffers = 16MB\\n" \\
        >>"$PGDATA/postgresql.conf"
    database=${POSTGRES_DB:-$user}
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE "%s"\\n' "$database" | postgres --single -j postgres >/dev/null
    fi
fi
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image: the shared base layer, a layer of packages, and on top a layer of files of our own."""

    name: str
    packages: tuple[str, ...]
    config: Mapping[str, Any]
    files: Mapping[str, Entry] = field(default_factory=dict)
    unwanted: tuple[str, ...] = ()
    compile_python: bool = False

    def with_files(self, files: Mapping[str, Entry]) -> Recipe:
        """A copy with more files in its last layer."""
        return replace(self, files={**self.files, **files})

    def with_config(self, **config: Any) -> Recipe:
        """A copy with fields of the image config replaced."""
        return replace(self, config={**self.config, **config})


def _directory(owner: int, mode: int = 0o755) -> Entry:
    return Entry(tarfile.DIRTYPE, mode=mode, uid=owner, gid=owner)


POSTGRES = Recipe(
    name="postgres",
    # The package of the release's default version depends on the versioned ones.
    packages=("postgresql",),
    unwanted=(r"usr/lib/postgresql/\d+/lib/(bitcode|llvmjit)", r"usr/share/postgresql/\d+/(man|extension/.*--.*--)"),
    files={
        **account_entries([("postgres", POSTGRES_UID, "/var/lib/postgresql")]),
        "usr/local/bin/entrypoint": Entry(content=POSTGRES_ENTRYPOINT.encode(), mode=0o755),
        "var/lib/postgresql/": _directory(POSTGRES_UID),
        "var/lib/postgresql/data/": _directory(POSTGRES_UID, 0o700),
    },
    config={
        "Env": ["PATH=/usr/local/bin:@postgres-bin@:/usr/bin:/bin", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"],
        "Entrypoint": ["entrypoint"],
        "Cmd": ["postgres"],
        "User": "postgres",
        "ExposedPorts": {"5432/tcp": {}},
        # Fast shutdown; SIGTERM would wait for clients.
        "StopSignal": "SIGINT",
    },
)

REDIS = Recipe(
    name="redis",
    packages=("redis-server",),
    files={**account_entries([("redis", REDIS_UID, "/data")]), "data/": _directory(REDIS_UID)},
    config={
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
        "Cmd": ["redis-server", "--bind", "*", "--protected-mode", "no", "--save", "", "--dir", "/data"],
        "User": "redis",
        "WorkingDir": "/data",
        "ExposedPorts": {"6379/tcp": {}},
    },
)

PYTHON = Recipe(
    name="python",
    packages=("python3-minimal", "libpython3-stdlib", "python3-psycopg2", "python3-redis"),
    files={**account_entries([("app", APP_UID, "/app")]), "app/": _directory(APP_UID)},
    compile_python=True,
    config={
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1", "LANG=C.UTF-8"],
        "Cmd": ["python3"],
        "User": "app",
    },
)

RECIPES = {recipe.name: recipe for recipe in (POSTGRES, REDIS, PYTHON)}
