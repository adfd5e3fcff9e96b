#define _GNU_SOURCE
#include "stem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "loop.h"
#include "outbox.h"
#include "spawn.h"
#include "task.h"

/* What the stem answers, with the pidfd if one was asked for. */
struct stem_answer {
    uint64_t number;
    struct failure failure;
    pid_t pid;
};

static int stem_socket = -1;
static struct watch stem;
static struct outbox outbox;
static char packet[WIRE_MOST_BYTES];

/* ---- the stem itself ---- */

/* Waits for the end of file that execve makes, or for the failure. */
static void read_report(int report, struct failure *failure)
{
    struct failure reported;
    ssize_t length;
    do {
        length = read(report, &reported, sizeof reported);
    } while (length == -1 && errno == EINTR);
    if (length == (ssize_t)sizeof reported) {
        *failure = reported;
    }
}

/* CLONE_PARENT makes it a child of init, which reaps it and knows when it ends. */
static pid_t start(
    const struct message *message, const int *descriptors, size_t count, int *pidfd, struct failure *failure)
{
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    int ends[2];
    if ((flags & SPAWN_HELPER) != 0 && spawn_own_copy() == -1) {
        return fail(failure, "memfd_create", "nsenter_helper");
    }
    if (pipe2(ends, O_CLOEXEC) == -1) {
        return fail(failure, "pipe2", NULL);
    }
    pid_t pid = clone_process(CLONE_PARENT, (flags & SPAWN_PIDFD) != 0 ? pidfd : NULL);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        spawn_execute(message, descriptors, count, &ends[1], failure);
        task_report(ends[1], failure);
    }
    if (pid == -1) {
        fail(failure, "clone", NULL);
    }
    close(ends[1]);
    if (pid != -1) {
        read_report(ends[0], failure);
    }
    close(ends[0]);
    return pid;
}

/* Blocks while init does not read: there is nobody else to serve. */
static void reply(const struct stem_answer *answer, int pidfd)
{
    struct outbox outgoing;
    outbox_init(&outgoing);
    bool sent = outbox_send(&outgoing, stem_socket, answer, sizeof *answer, &pidfd, pidfd >= 0 ? 1 : 0);
    while (sent && !outbox_is_empty(&outgoing)) {
        struct pollfd room = {.fd = stem_socket, .events = POLLOUT};
        poll(&room, 1, -1);
        sent = outbox_flush(&outgoing, stem_socket);
    }
    if (!sent) {
        _exit(1);
    }
}

_Noreturn static void serve(void)
{
    static struct field fields[WIRE_MOST_FIELDS];
    for (;;) {
        struct delivery delivery = {.packet = packet, .room = sizeof packet};
        enum received received = packet_receive(stem_socket, &delivery, 0);
        if (received != RECEIVED_PACKET) {
            _exit(0);
        }
        struct message message;
        if (!message_parse(&message, packet, delivery.length, fields, WIRE_MOST_FIELDS, delivery.count)) {
            _exit(1);
        }
        struct stem_answer answer = {.number = message.id, .pid = -1};
        int pidfd = -1;
        answer.pid = start(&message, delivery.descriptors, delivery.count, &pidfd, &answer.failure);
        close_all(delivery.descriptors, delivery.count);
        reply(&answer, pidfd);
    }
}

int stem_fork(void (*close_rest)(void))
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1) {
        return -1;
    }
    /* Room for the largest message and what the kernel adds to it, whatever the system's default is. */
    int room = 4 * WIRE_MOST_BYTES;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    pid_t init = getpid();
    pid_t pid = clone_process(0, NULL);
    if (pid == -1) {
        close_all(ends, LENGTH(ends));
        return -1;
    }
    if (pid == 0) {
        stem_socket = ends[1];
        close(ends[0]);
        close_rest();
        prctl(PR_SET_NAME, "pods-stem");
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != init) {
            _exit(0);
        }
        serve();
    }
    close(ends[1]);
    stem_socket = ends[0];
    return 0;
}

/* ---- init's side ---- */

static void lose_stem(void)
{
    watch_remove(&stem);
    close_descriptor(&stem_socket);
    outbox_clear(&outbox);
    task_stem_lost();
}

static bool receive_answer(void)
{
    struct stem_answer answer;
    struct delivery delivery = {.packet = (char *)&answer, .room = sizeof answer};
    switch (packet_receive(stem_socket, &delivery, MSG_DONTWAIT)) {
    case RECEIVED_NOTHING:
        return false;
    case RECEIVED_PACKET:
        if (delivery.length == sizeof answer && delivery.count <= 1) {
            int pidfd = delivery.count == 1 ? delivery.descriptors[0] : -1;
            task_stem_answered(answer.number, answer.pid, pidfd, &answer.failure);
            return true;
        }
        break;
    case RECEIVED_END:
    case RECEIVED_UNREADABLE:
        break;
    }
    close_all(delivery.descriptors, delivery.count);
    lose_stem();
    return false;
}

static void ready(struct watch *watch, uint32_t events)
{
    if ((events & EPOLLOUT) != 0) {
        if (!outbox_flush(&outbox, stem_socket)) {
            lose_stem();
            return;
        }
        if (outbox_is_empty(&outbox)) {
            watch_change(watch, EPOLLIN);
        }
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        while (stem_socket != -1 && receive_answer()) {
        }
    }
}

int stem_watch(void)
{
    outbox_init(&outbox);
    stem = (struct watch){.descriptor = stem_socket, .ready = ready};
    return watch_add(&stem, EPOLLIN);
}

/* The copies are the queue's: a full socket must not keep the client's own ones from being closed. */
static bool copy_descriptors(const int *descriptors, size_t count, int *copies)
{
    for (size_t i = 0; i < count; i++) {
        copies[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3);
        if (copies[i] == -1) {
            close_all(copies, i);
            return false;
        }
    }
    return true;
}

int stem_spawn(uint64_t number, const struct message *message, const int *descriptors, size_t count)
{
    int copies[WIRE_MOST_DESCRIPTORS];
    if (stem_socket == -1) {
        errno = EPIPE;
        return -1;
    }
    if (!copy_descriptors(descriptors, count, copies)) {
        return -1;
    }
    size_t length = message_pack(message, number, packet);
    bool was_empty = outbox_is_empty(&outbox);
    if (!outbox_send(&outbox, stem_socket, packet, length, copies, count)) {
        return -1;
    }
    if (was_empty && !outbox_is_empty(&outbox)) {
        watch_change(&stem, EPOLLIN | EPOLLOUT);
    }
    return 0;
}
