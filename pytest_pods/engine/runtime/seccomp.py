"""The filter of system calls of a container, as the runtime configuration states it."""

from __future__ import annotations

import errno
from functools import lru_cache

from pytest_pods.engine.errors import UnsupportedHostError
from pytest_pods.engine.oci.runtime_spec import SeccompArgument, SeccompConfiguration, SeccompRule
from pytest_pods.engine.runtime import seccomp_profile as profile

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"

ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
"""The machines (`os.uname().machine`) that the profile is written for."""


@lru_cache(maxsize=32)
def build_seccomp_document(capabilities: frozenset[str], architecture: str) -> SeccompConfiguration:
    """The default filter for a container with this bounding set. Raises UnsupportedHostError for other machines."""
    if architecture not in ARCHITECTURES:
        raise UnsupportedHostError(
            f"there is no default seccomp profile for the architecture {architecture!r}",
            hint="ask for the container with seccomp=False",
        )
    allowed = {name for text in profile.ALWAYS.values() for name in text.split()}
    allowed.update(profile.ALWAYS_ON[architecture].split())
    refused = set(profile.NOT_PERMITTED.split())
    for capability, text in profile.WITH_CAPABILITY.items():
        (allowed if capability in capabilities else refused).update(text.split())
    return SeccompConfiguration(
        default_action=ERRNO,
        default_errno=errno.ENOSYS,
        architectures=(ARCHITECTURES[architecture],),
        rules=(
            SeccompRule(tuple(sorted(allowed)), ALLOW),
            SeccompRule(tuple(sorted(refused - allowed)), ERRNO, errno.EPERM),
            *_build_personality_rules(),
            *_build_socket_rules(audit="CAP_AUDIT_WRITE" in capabilities),
        ),
    )


def _build_personality_rules() -> list[SeccompRule]:
    return [
        SeccompRule(("personality",), ALLOW, arguments=(SeccompArgument(0, value, "SCMP_CMP_EQ"),))
        for value in profile.PERSONALITIES
    ]


def _build_socket_rules(*, audit: bool) -> list[SeccompRule]:
    """Without CAP_AUDIT_WRITE an audit socket is EINVAL: programs take that for a kernel without audit and go on."""
    if audit:
        return [SeccompRule(("socket",), ALLOW)]
    family, protocol = (0, profile.AF_NETLINK), (2, profile.NETLINK_AUDIT)
    both = tuple(SeccompArgument(index, value, "SCMP_CMP_EQ") for index, value in (family, protocol))
    return [
        SeccompRule(("socket",), ERRNO, errno.EINVAL, both),
        *(
            SeccompRule(("socket",), ALLOW, arguments=(SeccompArgument(index, value, "SCMP_CMP_NE"),))
            for index, value in (family, protocol)
        ),
    ]
