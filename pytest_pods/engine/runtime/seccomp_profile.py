"""The default profile of system calls, as data: what every container may call, and what comes with a capability.

Only native calls of 64-bit machines are listed: each name and each further architecture makes `runc create` slower, and
libseccomp builds rules for calls that this machine does not have at the same price.
"""

from __future__ import annotations

ALWAYS: dict[str, str] = {
    "files": """
        close close_range copy_file_range dup dup3 fadvise64 fallocate fcntl fdatasync flock fsync ftruncate ioctl lseek
        openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile splice sync
        sync_file_range syncfs tee truncate write writev""",
    "names and attributes": """
        chdir faccessat faccessat2 fchdir fchmod fchmodat fchmodat2 fchown fchownat fgetxattr flistxattr fremovexattr
        fsetxattr fstat fstatfs getcwd getdents64 getxattr lgetxattr linkat listxattr llistxattr lremovexattr lsetxattr
        mkdirat mknodat name_to_handle_at newfstatat readlinkat removexattr renameat renameat2 setxattr statfs statx
        symlinkat umask unlinkat utimensat""",
    "mounts": """
        fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root umount2""",
    "watching": """
        epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 eventfd2 fanotify_mark inotify_add_watch inotify_init1
        inotify_rm_watch ppoll pselect6 signalfd4""",
    "input and output in the background": "io_cancel io_destroy io_getevents io_setup io_submit",
    "memory": """
        brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore mlock
        mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
        process_mrelease process_vm_readv process_vm_writev remap_file_pages set_mempolicy set_mempolicy_home_node""",
    "processes": """
        clone clone3 execve execveat exit exit_group getpgid getpid getppid getpriority getrusage getsid gettid kill
        pidfd_getfd pidfd_open pidfd_send_signal prctl prlimit64 ptrace reboot restart_syscall seccomp set_tid_address
        setns setpgid setpriority setrlimit getrlimit setsid tgkill times tkill uname unshare wait4 waitid
        getcpu sysinfo syslog getrandom rseq""",
    "signals": """
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_tgsigqueueinfo sigaltstack""",
    "identities": """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups
        setregid setresgid setresuid setreuid setuid keyctl landlock_add_rule landlock_create_ruleset
        landlock_restrict_self""",
    "scheduling": """
        ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
        sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
        sched_setscheduler sched_yield""",
    "time": """
        adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer
        timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
        timerfd_settime""",
    "locks between threads": """
        futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list set_robust_list""",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
        sendto setsockopt shutdown socketpair""",
    "pipes, queues and shared memory": """
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe2 semctl
        semget semop semtimedop shmat shmctl shmdt shmget""",
}
"""On every architecture, by subject."""

ALWAYS_ON: dict[str, str] = {
    "x86_64": """
        access alarm arch_prctl chmod chown creat dup2 epoll_create epoll_ctl_old epoll_wait epoll_wait_old eventfd fork
        futimesat get_thread_area getdents getpgrp inotify_init lchown link lstat mkdir mknod modify_ldt open pause
        pipe poll readlink rename rmdir select set_thread_area signalfd stat symlink time unlink utime utimes vfork""",
    "aarch64": "",
}
"""What only some architectures have, mostly the older forms of the above."""

WITH_CAPABILITY: dict[str, str] = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_ADMIN": "bpf fanotify_init lookup_dcookie perf_event_open quotactl quotactl_fd setdomainname sethostname",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime settimeofday",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}
"""Without the capability the call is EPERM, as the kernel itself would say."""

NOT_PERMITTED = """
    io_pgetevents kexec_file_load kexec_load migrate_pages move_pages nfsservctl swapoff swapon sysfs uselib userfaultfd
    ustat vmsplice"""
"""EPERM for everybody. What is in no list is ENOSYS, so that a C library falls back to an older call."""

PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, Linux with 3 GB of addresses, both with uname 2.6, and the question which one it is."""

AF_NETLINK = 16
NETLINK_AUDIT = 9
