/* The kernel's interface where C libraries lack it, or declare it only in some of their versions.
 *
 * Numbers from 424 on are the same on every architecture. The names are our own, because <sys/mount.h> and
 * <linux/mount.h> cannot be included together with every C library. */
#ifndef PODS_KERNEL_H
#define PODS_KERNEL_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    CALL_PIDFD_SEND_SIGNAL = 424,
    CALL_OPEN_TREE = 428,
    CALL_MOVE_MOUNT = 429,
    CALL_FSOPEN = 430,
    CALL_FSCONFIG = 431,
    CALL_FSMOUNT = 432,
    CALL_PIDFD_OPEN = 434,
    CALL_CLOSE_RANGE = 436,
    CALL_OPENAT2 = 437,
    CALL_MOUNT_SETATTR = 442,
};

/* clone(2) */
#define KERNEL_CLONE_PIDFD 0x00001000
#define KERNEL_CLONE_NEWCGROUP 0x02000000

/* open_tree(2), move_mount(2), mount_setattr(2) */
#define KERNEL_OPEN_TREE_CLONE 1
#define KERNEL_AT_RECURSIVE 0x8000
#define KERNEL_MOVE_MOUNT_FROM_DESCRIPTOR 0x04
#define KERNEL_MOVE_MOUNT_TO_DESCRIPTOR 0x40

/* fsconfig(2) */
enum { FSCONFIG_FLAG = 0, FSCONFIG_STRING = 1, FSCONFIG_DESCRIPTOR = 5, FSCONFIG_CREATE_FILE_SYSTEM = 6 };

/* MOUNT_ATTR_* */
#define ATTRIBUTE_READ_ONLY 0x01U
#define ATTRIBUTE_NO_SUID 0x02U
#define ATTRIBUTE_NO_DEVICES 0x04U
#define ATTRIBUTE_NO_EXECUTION 0x08U
#define ATTRIBUTE_ACCESS_TIME 0x70U
#define ATTRIBUTE_NO_ACCESS_TIME 0x10U
#define ATTRIBUTE_STRICT_ACCESS_TIME 0x20U
#define ATTRIBUTE_NO_DIRECTORY_ACCESS_TIME 0x80U
#define ATTRIBUTE_NO_SYMLINKS 0x200000U

struct mount_attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
};

/* openat2(2) */
#define RESOLVE_WITHIN_MOUNT 0x01
#define RESOLVE_WITHOUT_MAGIC_LINKS 0x02
#define RESOLVE_WITHOUT_LINKS 0x04
#define RESOLVE_BELOW 0x08
#define RESOLVE_AS_ROOT 0x10

struct open_how_form {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};

/* memfd_create(2) */
#define KERNEL_MFD_CLOEXEC 1U
#define KERNEL_MFD_ALLOW_SEALING 2U
#define KERNEL_MFD_EXEC 16U

/* capset(2), version 3: two halves of 32 bits */
#define CAPABILITY_VERSION 0x20080522U

struct capability_header {
    uint32_t version;
    int pid;
};

struct capability_half {
    uint32_t effective;
    uint32_t permitted;
    uint32_t inheritable;
};

/* seccomp(2) */
#define SECCOMP_INSTALL_FILTER 1
#define SECCOMP_INSTRUCTION_BYTES 8

struct seccomp_program {
    unsigned short length;
    const void *instructions;
};

static inline int pidfd_open_process(pid_t pid)
{
    return (int)syscall(CALL_PIDFD_OPEN, pid, 0);
}

static inline int pidfd_signal(int pidfd, int number)
{
    return (int)syscall(CALL_PIDFD_SEND_SIGNAL, pidfd, number, NULL, 0);
}

static inline int open_within(int directory, const char *path, const struct open_how_form *how)
{
    return (int)syscall(CALL_OPENAT2, directory, path, how, sizeof *how);
}

static inline int close_from(unsigned first, unsigned last)
{
    return (int)syscall(CALL_CLOSE_RANGE, first, last, 0);
}

/* fork(2) with more flags. The child runs on a copy of the stack, as after fork. */
static inline pid_t clone_process(unsigned long flags, int *pidfd)
{
    unsigned long all = flags | (pidfd != NULL ? KERNEL_CLONE_PIDFD : 0) | SIGCHLD;
    /* clone3(2) would spare the difference between architectures, but container runtimes' filters refuse it. */
#ifdef __s390x__
    return (pid_t)syscall(SYS_clone, 0, all, pidfd, NULL, 0);
#else
    return (pid_t)syscall(SYS_clone, all, 0, pidfd, NULL, 0);
#endif
}

#endif
