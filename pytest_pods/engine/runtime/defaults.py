"""What a container gets when nobody asks for anything: Podman's defaults, as data."""

from __future__ import annotations

from pytest_pods.engine.oci.runtime_spec import Mount

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONTAINER_VARIABLE = "pytest-pods"
"""Value of the variable `container`, by which programs (systemd, for one) know that they run in a container."""

UMASK = 0o022

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/firmware",
    "/sys/fs/selinux",
)

READ_ONLY_PATHS = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

MOST_OPEN_FILES = 1_048_576
MOST_PROCESSES = 4_194_304
SHARED_MEMORY_BYTES = 64 * 1024 * 1024
CPU_PERIOD_US = 100_000

_QUIET = ("nosuid", "noexec", "nodev")

PROC = Mount("/proc", "proc", "proc", _QUIET)
BORROWED_PROC = Mount("/proc", "bind", "/proc", ("rbind", "rprivate", *_QUIET))
"""The sandbox's /proc, for who may not mount a fresh one."""
DEV = Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"))
MESSAGE_QUEUES = Mount("/dev/mqueue", "mqueue", "mqueue", _QUIET)


def build_shared_memory_mount(size: int | None) -> Mount:
    options = (*_QUIET, "mode=1777", f"size={size or SHARED_MEMORY_BYTES}")
    return Mount("/dev/shm", "tmpfs", "shm", options)


def build_terminals_mount(*, with_tty_group: bool) -> Mount:
    """/dev/pts; group 5 is `tty` nearly everywhere, but a user namespace with a single id does not have it."""
    group = ("gid=5",) if with_tty_group else ()
    options = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *group)
    return Mount("/dev/pts", "devpts", "devpts", options)


def build_sys_mount(*, writable: bool) -> Mount:
    """A fresh /sys, which shows the network namespace and is allowed to the owner of that namespace only."""
    return Mount("/sys", "sysfs", "sysfs", (*_QUIET, "rw" if writable else "ro"))


def build_borrowed_sys_mount(*, writable: bool) -> Mount:
    """The host's /sys, for who may not mount a fresh one. Recursively read-only: the cgroup trees lie below it."""
    return Mount("/sys", "bind", "/sys", ("rbind", "rprivate", *_QUIET, "rw" if writable else "rro"))


def build_cgroup_mount(*, writable: bool) -> Mount:
    access = "rw" if writable else "ro"
    return Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("rprivate", *_QUIET, "relatime", access))
