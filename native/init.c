#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "netns.h"
#include "session.h"
#include "spawn.h"
#include "stem.h"
#include "task.h"

static const struct init_start *begun;

static void stem_close_rest(void)
{
    int descriptors[] = {begun->control, begun->link, begun->lock};
    close_all(descriptors, LENGTH(descriptors));
}

/* The end of file means that the janitor has gone, and with it everybody who would clean up. */
static pid_t await_word(int link)
{
    struct init_word word;
    if (recv(link, &word, sizeof word, 0) != (ssize_t)sizeof word) {
        _exit(1);
    }
    return word.pid;
}

static int become_root(struct failure *failure)
{
    if (setresgid(0, 0, 0) == -1) {
        return fail(failure, "setresgid", "0");
    }
    if (setresuid(0, 0, 0) == -1) {
        return fail(failure, "setresuid", "0");
    }
    /* A change of ids takes /proc/self away from us. */
    prctl(PR_SET_DUMPABLE, 1);
    return 0;
}

/* A change of ids clears the signal, so it is set after that; if the janitor ended before, its socket has, too, because
 * a process closes its files before it signals its children. */
static void die_with_janitor(int link)
{
    char nothing;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (recv(link, &nothing, sizeof nothing, MSG_PEEK | MSG_DONTWAIT) == 0) {
        _exit(1);
    }
}

static int make_mount_namespace(const struct init_start *start, struct failure *failure)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC) == -1) {
        return fail(failure, "unshare", "CLONE_NEWNS|CLONE_NEWIPC");
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1) {
        return fail(failure, "mount", "/");
    }
    bool fresh_proc = start->level == 1 || start->proc;
    if (fresh_proc && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == -1) {
        return fail(failure, "mount", "/proc");
    }
    return 0;
}

static int make_network_namespace(struct failure *failure)
{
    if (unshare(CLONE_NEWNET) == -1) {
        return fail(failure, "unshare", "CLONE_NEWNET");
    }
    if (netns_remember_own() == -1) {
        return fail(failure, "open", "/proc/self/ns/net");
    }
    return netns_loopback_up(failure);
}

/* What init needs descriptors for, forwards above all, must not be bounded by a limit made for select(2). */
static void raise_file_limit(void)
{
    struct rlimit files = spawn_defaults.files;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int set_up(const struct init_start *start, struct failure *failure)
{
    if (start->user && become_root(failure) == -1) {
        return -1;
    }
    if (start->level == 1) {
        die_with_janitor(start->link);
    } else {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    setsid();
    umask(0);
    if (chdir("/") == -1) {
        return fail(failure, "chdir", "/");
    }
    if (make_mount_namespace(start, failure) == -1) {
        return -1;
    }
    if (stem_fork(stem_close_rest) == -1) {
        return fail(failure, "fork", "stem");
    }
    return make_network_namespace(failure);
}

static int start_serving(const struct init_start *start, struct failure *failure)
{
    if (loop_open() == -1) {
        return fail(failure, "epoll_create1", NULL);
    }
    if (task_open() == -1) {
        return fail(failure, "signalfd", "SIGCHLD");
    }
    if (session_open(start->link, start->level) == -1 || stem_watch() == -1) {
        return fail(failure, "epoll_ctl", NULL);
    }
    return 0;
}

void init_run(const struct init_start *start)
{
    struct failure failure = {0};
    struct answer answer;
    begun = start;
    prctl(PR_SET_NAME, "pods-init");
    pid_t pid = await_word(start->link);
    if (set_up(start, &failure) == -1 || start_serving(start, &failure) == -1) {
        answer_failure(&answer, 0, &failure);
        send(start->control, answer.packet, answer.length, MSG_NOSIGNAL);
        session_end();
    }
    raise_file_limit();
    struct client *owner = client_open(start->control, true);
    if (owner == NULL) {
        session_end();
    }
    answer_start(&answer, KIND_READY, 0);
    answer_u32(&answer, TAG_PID, (uint32_t)pid);
    client_answer(owner, &answer, -1);
    loop_run();
}
