#define _GNU_SOURCE
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"

struct spawn_defaults spawn_defaults = {.dev_null = -1};

static int check_targets(const struct message *message, struct failure *failure)
{
    uint32_t targets[WIRE_MOST_DESCRIPTORS];
    size_t count = 0;
    for (const struct field *field = NULL;
         (field = message_next(message, TAG_TARGET_DESCRIPTOR, field)) != NULL && count < LENGTH(targets);) {
        uint32_t target = field_u32(field);
        for (size_t i = 0; i < count; i++) {
            if (targets[i] == target) {
                return fail_with(failure, EBADMSG, "message", "TARGET_DESCRIPTOR twice");
            }
        }
        if (target >= spawn_defaults.files.rlim_max || target >= INT32_MAX) {
            return fail_with(failure, EBADF, "dup2", "TARGET_DESCRIPTOR");
        }
        targets[count++] = target;
    }
    return 0;
}

int spawn_check(const struct message *message, size_t descriptors, struct failure *failure)
{
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    if ((flags & ~(uint32_t)(SPAWN_HOST_NETWORK | SPAWN_PIDFD | SPAWN_HELPER | SPAWN_NEW_SESSION)) != 0) {
        return fail_with(failure, EINVAL, "spawn", "FLAGS");
    }
    if (message_count(message, TAG_TARGET_DESCRIPTOR) != descriptors) {
        return fail_with(failure, EBADMSG, "message", "TARGET_DESCRIPTOR");
    }
    const char *program = message_text(message, TAG_ARGUMENT);
    if ((flags & SPAWN_HELPER) == 0 && program[0] != '/') {
        return fail_with(failure, EINVAL, "execve", program);
    }
    return check_targets(message, failure);
}

static int copy_into(int memory)
{
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (program == -1) {
        return -1;
    }
    ssize_t copied;
    do {
        copied = sendfile(memory, program, NULL, 1 << 30);
    } while (copied > 0);
    close_descriptor(&program);
    return copied == -1 ? -1 : 0;
}

int spawn_own_copy(void)
{
    static int copy = -1;
    if (copy != -1) {
        return copy;
    }
    unsigned flags = KERNEL_MFD_CLOEXEC | KERNEL_MFD_ALLOW_SEALING;
    int memory = (int)syscall(SYS_memfd_create, "nsenter_helper", flags | KERNEL_MFD_EXEC);
    if (memory == -1 && errno == EINVAL) {
        /* Before Linux 6.3 every memfd could be executed. */
        memory = (int)syscall(SYS_memfd_create, "nsenter_helper", flags);
    }
    if (memory == -1) {
        return -1;
    }
    if (copy_into(memory) == -1 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == -1) {
        close_descriptor(&memory);
        return -1;
    }
    copy = memory;
    return copy;
}

static int join_cgroups(const struct message *message, struct failure *failure)
{
    for (const struct field *field = NULL; (field = message_next(message, TAG_CGROUP, field)) != NULL;) {
        int directory = open(field->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory == -1) {
            return fail(failure, "open", field->data);
        }
        if (write_file(directory, "cgroup.procs", "0") == -1) {
            return fail(failure, "write cgroup.procs", field->data);
        }
        close(directory);
    }
    return 0;
}

/* All are opened before the first is joined: a mount namespace changes what the other paths mean. */
static int join_namespaces(const struct message *message, struct failure *failure)
{
    size_t count = message_count(message, TAG_NAMESPACE);
    int *namespaces = allocate_array(count, sizeof *namespaces);
    const struct field *field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(message, TAG_NAMESPACE, field);
        namespaces[i] = open(field->data, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (namespaces[i] == -1) {
            return fail(failure, "open", field->data);
        }
    }
    field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(message, TAG_NAMESPACE, field);
        if (setns(namespaces[i], 0) == -1) {
            return fail(failure, "setns", field->data);
        }
        close(namespaces[i]);
    }
    return 0;
}

static int highest_target(const struct message *message)
{
    int highest = STDERR_FILENO;
    for (const struct field *field = NULL; (field = message_next(message, TAG_TARGET_DESCRIPTOR, field)) != NULL;) {
        int target = (int)field_u32(field);
        highest = target > highest ? target : highest;
    }
    return highest;
}

/* Everything still needed goes above the highest target first, so that no dup2 overwrites what another one needs. */
static int place_descriptors(
    const struct message *message, const int *descriptors, size_t count, int *above[], size_t kept,
    struct failure *failure)
{
    int highest = highest_target(message);
    int copies[WIRE_MOST_DESCRIPTORS];
    for (size_t i = 0; i < kept; i++) {
        if (*above[i] != -1 && *above[i] <= highest) {
            int moved = fcntl(*above[i], F_DUPFD_CLOEXEC, highest + 1);
            if (moved == -1) {
                return fail(failure, "fcntl", "F_DUPFD_CLOEXEC");
            }
            *above[i] = moved;
        }
    }
    for (size_t i = 0; i < count; i++) {
        copies[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, highest + 1);
        if (copies[i] == -1) {
            return fail(failure, "fcntl", "F_DUPFD_CLOEXEC");
        }
    }
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) {
        if (dup2(spawn_defaults.dev_null, standard) == -1) {
            return fail(failure, "dup2", "/dev/null");
        }
    }
    const struct field *field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(message, TAG_TARGET_DESCRIPTOR, field);
        if (dup2(copies[i], (int)field_u32(field)) == -1) {
            return fail(failure, "dup2", "TARGET_DESCRIPTOR");
        }
    }
    return 0;
}

static char **collect(const struct message *message, enum tag tag)
{
    size_t count = message_count(message, tag);
    char **texts = allocate_array(count + 1, sizeof *texts);
    const struct field *field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(message, tag, field);
        texts[i] = (char *)(uintptr_t)field->data;
    }
    return texts;
}

int spawn_execute(
    const struct message *message, const int *descriptors, size_t count, int *report, struct failure *failure)
{
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    const char *program = message_text(message, TAG_ARGUMENT);
    const char *directory = message_text(message, TAG_DIRECTORY);
    int copy = -1;
    if ((flags & SPAWN_HELPER) != 0) {
        copy = spawn_own_copy();
        if (copy == -1) {
            return fail(failure, "memfd_create", "nsenter_helper");
        }
    }
    /* In a group of its own in any case: kill(0, SIGKILL) must not reach a level-2 init. */
    if ((flags & SPAWN_NEW_SESSION) != 0) {
        setsid();
    } else {
        setpgid(0, 0);
    }
    if (join_cgroups(message, failure) == -1 || join_namespaces(message, failure) == -1) {
        return -1;
    }
    if (directory != NULL && chdir(directory) == -1) {
        return fail(failure, "chdir", directory);
    }
    int *above[] = {&copy, report, &spawn_defaults.dev_null};
    if (place_descriptors(message, descriptors, count, above, LENGTH(above), failure) == -1) {
        return -1;
    }
    char **arguments = collect(message, TAG_ARGUMENT);
    char **environment = collect(message, TAG_ENVIRONMENT);
    umask(022);
    setrlimit(RLIMIT_NOFILE, &spawn_defaults.files);
    reset_signals();
    if (copy != -1) {
        syscall(SYS_execveat, copy, "", arguments, environment, 0x1000 /* AT_EMPTY_PATH */);
    } else {
        execve(program, arguments, environment);
    }
    return fail(failure, "execve", program);
}
