#define _GNU_SOURCE
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "kernel.h"
#include "util.h"
#include "wire.h"

enum { ORDERS = 3, MOST_ORDERS_BYTES = 64 * 1024 * 1024 };

/* Exit statuses, as a shell and other engines give them. */
enum { HELPER_FAILED = 125, CANNOT_EXECUTE = 126, NOT_FOUND = 127, SIGNALLED = 128 };

/* What was opened in the session's namespaces, before they are left. */
struct opened {
    int pidfd;
    int *cgroups;
    size_t cgroup_count;
    /* The parent holds the writing end and never writes: its end of file is the parent's end. */
    int parent_lives[2];
};

_Noreturn static void stop(const struct failure *failure, int status)
{
    complain_of(failure);
    _exit(status);
}

/* ---- the orders ---- */

static char *read_orders(size_t *length, struct failure *failure)
{
    struct stat status;
    if (fstat(ORDERS, &status) == -1) {
        fail(failure, "fstat", "orders");
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > MOST_ORDERS_BYTES) {
        fail_with(failure, EINVAL, "read", "orders");
        return NULL;
    }
    *length = (size_t)status.st_size;
    char *packet = allocate(*length + 1);
    for (size_t done = 0; done < *length;) {
        ssize_t count = pread(ORDERS, packet + done, *length - done, (off_t)done);
        if (count <= 0) {
            fail(failure, "read", "orders");
            return NULL;
        }
        done += (size_t)count;
    }
    close(ORDERS);
    return packet;
}

static int parse_orders(struct message *orders, struct failure *failure)
{
    size_t length;
    char *packet = read_orders(&length, failure);
    if (packet == NULL) {
        return -1;
    }
    size_t capacity = length / WIRE_FIELD_BYTES;
    struct field *space = allocate_array(capacity, sizeof *space);
    if (!message_parse(orders, packet, length, space, capacity, 0) || orders->kind != KIND_ENTER) {
        return fail_with(failure, EBADMSG, "read", "orders");
    }
    return 0;
}

/* ---- in the session's namespaces ---- */

static int open_cgroups(const struct message *orders, struct opened *opened, struct failure *failure)
{
    opened->cgroup_count = message_count(orders, TAG_CGROUP);
    opened->cgroups = allocate_array(opened->cgroup_count, sizeof *opened->cgroups);
    const struct field *field = NULL;
    for (size_t i = 0; i < opened->cgroup_count; i++) {
        char path[PATH_MAX];
        field = message_next(orders, TAG_CGROUP, field);
        int length = snprintf(path, sizeof path, "%s/cgroup.procs", field->data);
        if (length < 0 || (size_t)length >= sizeof path) {
            return fail_with(failure, ENAMETOOLONG, "open", field->data);
        }
        opened->cgroups[i] = open(path, O_WRONLY | O_CLOEXEC);
        if (opened->cgroups[i] == -1) {
            return fail(failure, "open", path);
        }
    }
    return 0;
}

static int open_all(const struct message *orders, struct opened *opened, struct failure *failure)
{
    uint32_t pid = message_u32(orders, TAG_PID, 0);
    opened->pidfd = pid > 0 && pid <= INT_MAX ? pidfd_open_process((pid_t)pid) : (errno = EINVAL, -1);
    if (opened->pidfd == -1) {
        return fail(failure, "pidfd_open", "container");
    }
    if (pipe2(opened->parent_lives, O_CLOEXEC) == -1) {
        return fail(failure, "pipe2", NULL);
    }
    return open_cgroups(orders, opened, failure);
}

/* Before the namespaces are left, and before we become non-dumpable: both could take /proc/self away. Lowering it needs
 * a privilege that a session need not have, and then its containers do not have the lower score either. */
static void set_oom_score(const struct message *orders)
{
    const char *score = message_text(orders, TAG_OOM_SCORE);
    if (score != NULL) {
        write_file(AT_FDCWD, "/proc/self/oom_score_adj", score);
    }
}

static int join(const struct message *orders, const struct opened *opened, struct failure *failure)
{
    /* From the moment of joining, processes of the container could trace us and use what we have opened. */
    prctl(PR_SET_DUMPABLE, 0);
    uint32_t namespaces = message_u32(orders, TAG_JOIN, 0);
    if (namespaces != 0 && setns(opened->pidfd, (int)namespaces) == -1) {
        return fail(failure, "setns", "container");
    }
    return 0;
}

/* ---- the command ---- */

static int join_cgroups(const struct opened *opened, struct failure *failure)
{
    for (size_t i = 0; i < opened->cgroup_count; i++) {
        if (write(opened->cgroups[i], "0", 1) == -1) {
            return fail(failure, "write", "cgroup.procs");
        }
    }
    return 0;
}

/* A change of ids or capabilities clears the signal, so it comes after them. The parent closes its files before it
 * signals its children, so either the pipe has ended or the signal will come. getppid() would not tell: the parent has
 * no number in the container's PID namespace. */
static void die_with_parent(const struct opened *opened)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd parent = {.fd = opened->parent_lives[0], .events = POLLIN};
    if (poll(&parent, 1, 0) != 0) {
        _exit(HELPER_FAILED);
    }
}

/* A directory descriptor of the session's would be a way out of the container for a working directory like
 * /proc/self/fd/7. */
static void close_ours(const struct opened *opened)
{
    for (size_t i = 0; i < opened->cgroup_count; i++) {
        close(opened->cgroups[i]);
    }
    close(opened->pidfd);
}

static void change_directory(const struct message *orders)
{
    const char *directory = message_text(orders, TAG_DIRECTORY);
    char here[PATH_MAX];
    struct failure failure;
    if (directory == NULL || directory[0] == '\0') {
        directory = "/";
    }
    if (chdir(directory) == -1) {
        fail(&failure, "chdir", directory);
        stop(&failure, CANNOT_EXECUTE);
    }
    /* The kernel's answer begins with something else if the directory is not below our root. */
    if (syscall(SYS_getcwd, here, sizeof here) == -1 || here[0] != '/') {
        fail_with(&failure, EXDEV, "chdir", directory);
        stop(&failure, CANNOT_EXECUTE);
    }
}

static char **collect(const struct message *orders, enum tag tag)
{
    size_t count = message_count(orders, tag);
    char **texts = allocate_array(count + 1, sizeof *texts);
    const struct field *field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(orders, tag, field);
        texts[i] = (char *)(uintptr_t)field->data;
    }
    return texts;
}

static const char *search_path(char *const *environment)
{
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, "PATH=", 5) == 0) {
            return *environment + 5;
        }
    }
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* Tries every directory; errno says why none did. A file that may not be executed is remembered, as a shell does. */
static void execute_found(char *const *arguments, char *const *environment)
{
    bool forbidden = false;
    for (const char *path = search_path(environment);;) {
        char candidate[PATH_MAX];
        size_t length = strcspn(path, ":");
        const char *slash = length > 0 ? "/" : "";
        int used = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)length, path, slash, arguments[0]);
        if (used > 0 && (size_t)used < sizeof candidate) {
            execve(candidate, arguments, environment);
            if (errno == EACCES) {
                forbidden = true;
            } else if (errno != ENOENT && errno != ENOTDIR) {
                return;
            }
        }
        if (path[length] == '\0') {
            break;
        }
        path += length + 1;
    }
    errno = forbidden ? EACCES : ENOENT;
}

_Noreturn static void execute(const struct message *orders)
{
    char **arguments = collect(orders, TAG_ARGUMENT);
    char **environment = collect(orders, TAG_ENVIRONMENT);
    if (strchr(arguments[0], '/') != NULL) {
        execve(arguments[0], arguments, environment);
    } else if (arguments[0][0] != '\0') {
        execute_found(arguments, environment);
    } else {
        errno = ENOENT;
    }
    struct failure failure;
    fail(&failure, "exec", arguments[0]);
    stop(&failure, failure.error == ENOENT || failure.error == ENOTDIR ? NOT_FOUND : CANNOT_EXECUTE);
}

_Noreturn static void become_command(const struct message *orders, const struct opened *opened)
{
    struct failure failure;
    close(opened->parent_lives[1]);
    reset_signals();
    if (join_cgroups(opened, &failure) == -1) {
        stop(&failure, HELPER_FAILED);
    }
    close_ours(opened);
    if (identity_prepare(orders, &failure) == -1 || identity_assume(orders, &failure) == -1) {
        stop(&failure, HELPER_FAILED);
    }
    change_directory(orders);
    die_with_parent(opened);
    if (identity_confine(orders, &failure) == -1) {
        stop(&failure, HELPER_FAILED);
    }
    execute(orders);
}

/* ---- the parent ---- */

/* The command's pipes must see their ends when the command closes them. */
static void close_everything_but(int kept)
{
    if (kept > 0) {
        close_from(0, (unsigned)kept - 1);
    }
    close_from((unsigned)kept + 1, ~0U);
}

static int status_of(int status)
{
    return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int wait_for(pid_t command, const sigset_t *all)
{
    for (;;) {
        int status;
        int number = sigwaitinfo(all, NULL);
        if (number == SIGCHLD && waitpid(command, &status, WNOHANG) == command) {
            return status_of(status);
        }
        if (number > 0 && number != SIGCHLD) {
            kill(command, number);
        }
    }
}

int enter_main(void)
{
    struct message orders;
    struct failure failure;
    struct opened opened;
    sigset_t all;
    if (parse_orders(&orders, &failure) == -1 || open_all(&orders, &opened, &failure) == -1) {
        stop(&failure, HELPER_FAILED);
    }
    set_oom_score(&orders);
    if (join(&orders, &opened, &failure) == -1) {
        stop(&failure, HELPER_FAILED);
    }
    /* Before there is a command to signal, so that none is lost. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t command = clone_process(0, NULL);
    if (command == 0) {
        become_command(&orders, &opened);
    }
    if (command == -1) {
        fail(&failure, "clone", "container");
        stop(&failure, HELPER_FAILED);
    }
    close_everything_but(opened.parent_lives[1]);
    return wait_for(command, &all);
}
