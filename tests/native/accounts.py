"""Who a session runs as: this process's user, or, for tests that run as root, an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.rootless import ensure_user


@dataclass(frozen=True)
class Account:
    """A user, the command that changes to it, and the janitor's arguments for it."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        return self.uid == 0


def _first_subordinate(path: str, user: pwd.struct_passwd) -> int:
    for line in Path(path).read_text().splitlines():
        name, first, count = line.split(":")
        if name in (user.pw_name, str(user.pw_uid)) and int(count) >= 65536:
            return int(first)
    raise LookupError(f"{path} has no range for {user.pw_name}")


def _maps(user: pwd.struct_passwd) -> tuple[str, ...]:
    arguments = ["--user"]
    for option, own, path in (("uid", user.pw_uid, "/etc/subuid"), ("gid", user.pw_gid, "/etc/subgid")):
        first = _first_subordinate(path, user)
        arguments += [f"--{option}-map", f"0:{own}:1", f"--{option}-map", f"1:{first}:65536"]
        arguments += [f"--new{option}map", shutil.which(f"new{option}map") or f"/usr/bin/new{option}map"]
    return tuple(arguments)


def _prefix(user: pwd.struct_passwd) -> tuple[str, ...]:
    if os.geteuid() == user.pw_uid:
        return ()
    ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}")
    return ("setpriv", *ids, "--init-groups", "--inh-caps=-all", "--")


def ordinary_user() -> Account:
    """The user of rootless tests with its subordinate ids."""
    user = ensure_user() if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(user.pw_uid, user.pw_gid, _prefix(user), _maps(user))


def user_with_one_id() -> Account:
    """The same user, who does not use its subordinate ids."""
    account = ordinary_user()
    maps = ("--user", "--uid-map", f"0:{account.uid}:1", "--gid-map", f"0:{account.gid}:1")
    return Account(account.uid, account.gid, account.prefix, maps)


def current_account() -> Account:
    """Root without a user namespace where the tests run as root, else the ordinary user."""
    return Account(0, 0) if os.geteuid() == 0 else ordinary_user()
