#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "spawn.h"
#include "stem.h"

enum { BUCKETS = 1024 };

struct task {
    struct task *next;
    struct client *client;
    uint64_t id;
    /* The read end of the child's report: a failure, or the end of file that close-on-exec makes. */
    struct watch report;
    /* Names the task to the stem; 0 if the child is our own. */
    uint64_t number;
    pid_t pid;
    int pidfd;
    int status;
    bool is_program;
    bool has_ended;
};

/* A child of the stem's may end before the stem has told us that there is one. */
struct early_exit {
    struct early_exit *next;
    pid_t pid;
    int status;
};

static struct task *by_pid[BUCKETS];
static struct task *at_stem;
static struct early_exit *early_exits;
static uint64_t last_number;
static struct watch children;

static struct task **bucket_of(pid_t pid)
{
    return &by_pid[(size_t)pid % BUCKETS];
}

static void push(struct task **list, struct task *task)
{
    task->next = *list;
    *list = task;
}

static void unlink_task(struct task **list, const struct task *task)
{
    while (*list != task) {
        list = &(*list)->next;
    }
    *list = task->next;
}

static struct task *create(struct client *client, uint64_t id)
{
    struct task *task = allocate(sizeof *task);
    *task = (struct task){.client = client, .id = id, .report = {.descriptor = -1}, .pidfd = -1};
    client_hold(client);
    client->tasks++;
    return task;
}

static void destroy(struct task *task)
{
    if (task->report.descriptor != -1) {
        watch_remove(&task->report);
        close_descriptor(&task->report.descriptor);
    }
    close_descriptor(&task->pidfd);
    task->client->tasks--;
    client_release(task->client);
    free(task);
}

static void forget(struct task *task)
{
    unlink_task(bucket_of(task->pid), task);
    destroy(task);
}

static void answer_started(struct task *task)
{
    struct answer answer;
    answer_start(&answer, KIND_OK, task->id);
    answer_u32(&answer, TAG_PID, (uint32_t)task->pid);
    client_answer(task->client, &answer, task->pidfd);
    task->pidfd = -1;
}

static void answer_ended(struct task *task)
{
    struct answer answer;
    answer_start(&answer, KIND_EXITED, task->id);
    answer_u32(&answer, TAG_PID, (uint32_t)task->pid);
    answer_u32(&answer, TAG_STATUS, (uint32_t)task->status);
    client_answer(task->client, &answer, -1);
    forget(task);
}

static void program_runs(struct task *task)
{
    answer_started(task);
    if (task->has_ended) {
        answer_ended(task);
    }
}

/* A report that a killed child could not finish counts as none. */
static bool read_report(struct task *task, struct failure *failure)
{
    ssize_t length = read(task->report.descriptor, failure, sizeof *failure);
    watch_remove(&task->report);
    close_descriptor(&task->report.descriptor);
    return length == (ssize_t)sizeof *failure;
}

static void report_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct task *task = CONTAINER_OF(watch, struct task, report);
    struct failure failure;
    bool reported = read_report(task, &failure);
    if (!reported && task->is_program) {
        program_runs(task);
        return;
    }
    if (!reported) {
        fail_with(&failure, ECHILD, "wait", "the child that did it was killed");
    }
    if (failure.error == 0) {
        client_ok(task->client, task->id);
    } else {
        client_error(task->client, task->id, &failure);
    }
    forget(task);
}

void task_report(int report, const struct failure *failure)
{
    ssize_t written = write(report, failure, sizeof *failure);
    _exit(written == (ssize_t)sizeof *failure ? 125 : 126);
}

static bool may_start(struct client *client, uint64_t id)
{
    if (client->tasks < CLIENT_MOST_TASKS) {
        return true;
    }
    struct failure failure;
    fail_with(&failure, EAGAIN, "spawn", "this connection has as many processes as it may have");
    client_error(client, id, &failure);
    return false;
}

static void start_failed(struct task *task, const char *call)
{
    struct failure failure;
    fail(&failure, call, NULL);
    client_error(task->client, task->id, &failure);
    destroy(task);
}

/* Forks. In the child: 0, and `report[1]` is where the failure goes. In init: the child's pid, or -1 if the failure has
 * been answered and the task is gone. */
static pid_t start(struct task *task, bool wants_pidfd, int *report)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1) {
        start_failed(task, "pipe2");
        return -1;
    }
    pid_t pid = clone_process(0, wants_pidfd ? &task->pidfd : NULL);
    if (pid == 0) {
        *report = ends[1];
        return 0;
    }
    int error = errno;
    close(ends[1]);
    errno = error;
    task->pid = pid;
    task->report = (struct watch){.descriptor = ends[0], .ready = report_ready};
    if (pid == -1 || watch_add(&task->report, EPOLLIN) == -1) {
        error = errno;
        if (pid > 0) {
            kill(pid, SIGKILL);
        }
        close_descriptor(&ends[0]);
        task->report.descriptor = -1;
        errno = error;
        start_failed(task, pid == -1 ? "clone" : "epoll_ctl");
        return -1;
    }
    push(bucket_of(pid), task);
    return pid;
}

static void spawn_here(
    struct client *client, const struct message *message, const int *descriptors, size_t count, uint32_t flags)
{
    struct failure failure = {0};
    if ((flags & SPAWN_HELPER) != 0 && spawn_own_copy() == -1) {
        /* Made here and not in the child, so that it is made once. */
        fail(&failure, "memfd_create", "nsenter_helper");
        client_error(client, message->id, &failure);
        return;
    }
    struct task *task = create(client, message->id);
    task->is_program = true;
    int report;
    if (start(task, (flags & SPAWN_PIDFD) != 0, &report) == 0) {
        spawn_execute(message, descriptors, count, &report, &failure);
        task_report(report, &failure);
    }
}

static void spawn_at_stem(
    struct client *client, const struct message *message, const int *descriptors, size_t count)
{
    struct task *task = create(client, message->id);
    task->is_program = true;
    task->number = ++last_number;
    push(&at_stem, task);
    if (stem_spawn(task->number, message, descriptors, count) == -1) {
        int error = errno;
        unlink_task(&at_stem, task);
        errno = error;
        start_failed(task, "stem");
    }
}

void task_spawn(struct client *client, const struct message *message, const int *descriptors, size_t count)
{
    struct failure failure;
    if (spawn_check(message, count, &failure) == -1) {
        client_error(client, message->id, &failure);
        return;
    }
    if (!may_start(client, message->id)) {
        return;
    }
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    if ((flags & SPAWN_HOST_NETWORK) != 0) {
        spawn_at_stem(client, message, descriptors, count);
    } else {
        spawn_here(client, message, descriptors, count, flags);
    }
}

void task_work(
    struct client *client, const struct message *message, int (*work)(const struct message *, struct failure *))
{
    if (!may_start(client, message->id)) {
        return;
    }
    struct task *task = create(client, message->id);
    int report;
    if (start(task, false, &report) == 0) {
        struct failure failure = {0};
        work(message, &failure);
        task_report(report, &failure);
    }
}

static struct task *take_from_stem(uint64_t number)
{
    for (struct task **task = &at_stem; *task != NULL; task = &(*task)->next) {
        if ((*task)->number == number) {
            struct task *found = *task;
            *task = found->next;
            return found;
        }
    }
    return NULL;
}

static void forget_early_exits(void)
{
    while (early_exits != NULL) {
        struct early_exit *next = early_exits->next;
        free(early_exits);
        early_exits = next;
    }
}

static bool take_early_exit(pid_t pid, int *status)
{
    for (struct early_exit **exit = &early_exits; *exit != NULL; exit = &(*exit)->next) {
        if ((*exit)->pid == pid) {
            struct early_exit *found = *exit;
            *status = found->status;
            *exit = found->next;
            free(found);
            return true;
        }
    }
    return false;
}

void task_stem_answered(uint64_t number, pid_t pid, int pidfd, const struct failure *failure)
{
    struct task *task = take_from_stem(number);
    if (task == NULL) {
        close_all(&pidfd, 1);
        return;
    }
    task->pidfd = pidfd;
    if (failure->error != 0) {
        client_error(task->client, task->id, failure);
        destroy(task);
    } else {
        task->pid = pid;
        push(bucket_of(pid), task);
        task->has_ended = take_early_exit(pid, &task->status);
        program_runs(task);
    }
    if (at_stem == NULL) {
        forget_early_exits();
    }
}

void task_stem_lost(void)
{
    while (at_stem != NULL) {
        struct task *task = at_stem;
        at_stem = task->next;
        errno = EPIPE;
        start_failed(task, "stem");
    }
    forget_early_exits();
}

static struct task *find_running(pid_t pid)
{
    struct task *task = *bucket_of(pid);
    while (task != NULL && (task->pid != pid || task->has_ended)) {
        task = task->next;
    }
    return task;
}

static void ended(pid_t pid, int status)
{
    struct task *task = find_running(pid);
    if (task != NULL) {
        task->has_ended = true;
        task->status = status;
        if (task->report.descriptor == -1) {
            answer_ended(task);
        }
    } else if (at_stem != NULL) {
        struct early_exit *exit = allocate(sizeof *exit);
        *exit = (struct early_exit){.next = early_exits, .pid = pid, .status = status};
        early_exits = exit;
    }
}

static void children_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo information;
    while (read(watch->descriptor, &information, sizeof information) == (ssize_t)sizeof information) {
        /* One signal may stand for many children. */
    }
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        ended(pid, status);
    }
}

int task_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1) {
        return -1;
    }
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor == -1) {
        return -1;
    }
    children = (struct watch){.descriptor = descriptor, .ready = children_ready};
    return watch_add(&children, EPOLLIN);
}
