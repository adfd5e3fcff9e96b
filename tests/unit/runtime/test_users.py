from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.runtime.users import MappedIds, ResolvedUser, resolve_user

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# daemon:x:1:1::/:/bin/false
posty:x:70:71::/var/lib/posty:/bin/sh
bare:x:80:81
1000:x:5:5::/named-like-a-number:
homeless:x:90:90::relative:/bin/sh
posty:x:99:99::/second:/bin/sh
"""
GROUP = b"""root:x:0:
posty:x:71:
wheel:x:10:root,posty
audio:x:18:posty
again:x:10:posty
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvedUser(0, 0, (10,), "/root", "root")),
        ("root", ResolvedUser(0, 0, (10,), "/root", "root")),
        ("posty", ResolvedUser(70, 71, (10, 18), "/var/lib/posty", "posty")),
        ("70", ResolvedUser(70, 71, (10, 18), "/var/lib/posty", "posty")),
        ("posty:audio", ResolvedUser(70, 18, (), "/var/lib/posty", "posty")),
        ("posty:1234", ResolvedUser(70, 1234, (), "/var/lib/posty", "posty")),
        ("1234", ResolvedUser(1234, 0, (), "/", "")),
        ("1234:wheel", ResolvedUser(1234, 10, (), "/", "")),
        ("1234:5678", ResolvedUser(1234, 5678, (), "/", "")),
        ("bare", ResolvedUser(80, 81, (), "/", "bare")),
        ("1000", ResolvedUser(1000, 0, (), "/", "")),
        ("homeless", ResolvedUser(90, 90, (), "/", "homeless")),
        (":audio", ResolvedUser(0, 18, (), "/root", "root")),
    ],
)
def test_user_is_read_as_docker_reads_it(text: str, expected: ResolvedUser) -> None:
    assert resolve_user(text, passwd=PASSWD, group=GROUP) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "user 'nobody' is not in /etc/passwd of shop:dev"),
        ("daemon", "user 'daemon' is not in /etc/passwd of shop:dev"),
        ("posty:staff", "group 'staff' of user 'posty:staff' is not in /etc/group of shop:dev"),
        ("4294967296", "user '4294967296': 4294967296 is above the highest id, 2147483647"),
        ("0:99999999999999999999999", "is above the highest id"),
        ("posty:", "invalid user 'posty:': the group after ':' is missing"),
        ("-1", "user '-1' is not in /etc/passwd"),
        ("²", "user '²' is not in /etc/passwd"),
    ],
)
def test_unknown_user_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        resolve_user(text, passwd=PASSWD, group=GROUP, where="shop:dev")
    assert message in caught.value.brief


def test_image_without_users_still_takes_numbers() -> None:
    assert resolve_user("12:34", passwd=b"", group=b"") == ResolvedUser(12, 34)


def test_line_of_a_megabyte_hides_no_other_line() -> None:
    passwd = b"x" * (1 << 20) + b"\nposty:x:70:71::/p:\n"
    assert resolve_user("posty", passwd=passwd, group=b"").uid == 70


def test_user_in_a_hundred_thousand_groups_gets_a_bounded_number() -> None:
    group = b"".join(b"g%d:x:%d:posty\n" % (number, number) for number in range(10_000))
    assert len(resolve_user("posty", passwd=PASSWD, group=group).groups) == 1024


@given(passwd=st.binary(), group=st.binary(), text=st.text(max_size=12))
def test_garbage_gives_an_answer_or_a_named_error(passwd: bytes, group: bytes, text: str) -> None:
    try:
        user = resolve_user(text, passwd=passwd, group=group)
    except InvalidSpecError:
        return
    assert 0 <= user.uid < 2**31
    assert 0 <= user.gid < 2**31
    assert user.home.startswith("/")


ROOTS = MappedIds.parse("         0          0 4294967295\n", "         0          0 4294967295\n")
USERS = MappedIds.parse("0 1000 1\n1 100000 65536\n", "0 1000 1\n1 100000 65536\n")
SINGLE = MappedIds.parse("0 1000 1\n", "0 1000 1\n")


@pytest.mark.parametrize("ids", [ROOTS, USERS])
def test_ids_that_are_mapped_are_as_asked(ids: MappedIds) -> None:
    user = ResolvedUser(65536, 65535, (1, 10))
    assert ids.restrict(user, where="it") == user


@pytest.mark.parametrize(
    ("ids", "user", "message"),
    [
        (USERS, ResolvedUser(65537, 0), "it would run as user 65537, which does not exist here: .* 0, 1 to 65536"),
        (USERS, ResolvedUser(0, 70000), "it would run as group 70000"),
        (SINGLE, ResolvedUser(1, 0), "this session has 0$"),
    ],
)
def test_id_that_is_not_mapped_is_refused(ids: MappedIds, user: ResolvedUser, message: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        ids.restrict(user, where="it")
    assert re.search(message, caught.value.brief)


def test_supplementary_group_that_is_not_mapped_is_left_out() -> None:
    assert USERS.restrict(ResolvedUser(0, 0, (5, 99_999)), where="it").groups == (5,)
