#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "descendants.h"

/* Longer leases than the kernel can count, some 292 years, end with the machine. */
static const uint64_t longest_lease_s = 9000000000;

static struct watch janitor = {.descriptor = -1};
static struct watch lease = {.descriptor = -1};
static struct watch listener = {.descriptor = -1};
static char *listener_path;
static const struct client *last_to_serve;
static bool is_kept;
/* What the lease is, also while clients hold it. */
static uint64_t lease_s;
static unsigned lease_holders;
static int level;

void session_end(void)
{
    if (level == 2) {
        /* A frozen process takes no signal: the janitor, who can thaw it, must not wait for our end. */
        shutdown(janitor.descriptor, SHUT_RDWR);
        descendants_kill();
    }
    exit(0);
}

static void janitor_gone(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    session_end();
}

static void lease_over(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    session_end();
}

int session_open(int link, int session_level)
{
    level = session_level;
    janitor = (struct watch){.descriptor = link, .ready = janitor_gone};
    /* The janitor says nothing after the start: what can be read is its end. */
    return watch_add(&janitor, EPOLLIN | EPOLLRDHUP);
}


void session_client_served(const struct client *client)
{
    if (client == last_to_serve) {
        session_end();
    }
}

void session_shut_down(struct client *client)
{
    if (client_is_served(client)) {
        session_end();
    }
    last_to_serve = client;
}

static int take_owner_out(struct failure *failure)
{
    const char kept = SESSION_KEPT;
    if (!is_kept && send(janitor.descriptor, &kept, sizeof kept, MSG_NOSIGNAL) == -1) {
        return fail(failure, "send", "janitor");
    }
    is_kept = true;
    return 0;
}

static int arm_lease(uint64_t seconds, struct failure *failure)
{
    if (lease.descriptor == -1) {
        /* Counts while the machine sleeps, too: a lease is meant in the user's time. */
        int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (timer == -1) {
            return fail(failure, "timerfd_create", "LEASE");
        }
        lease = (struct watch){.descriptor = timer, .ready = lease_over};
        if (watch_add(&lease, EPOLLIN) == -1) {
            close_descriptor(&lease.descriptor);
            return fail(failure, "epoll_ctl", "LEASE");
        }
    }
    seconds = seconds > longest_lease_s ? longest_lease_s : seconds;
    struct itimerspec time = {.it_value.tv_sec = (time_t)seconds};
    return timerfd_settime(lease.descriptor, 0, &time, NULL) == -1 ? fail(failure, "timerfd_settime", "LEASE") : 0;
}

static bool is_our_own(int connection)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid();
}

/* While somebody holds the lease, it does not run. */
static int set_lease(uint64_t seconds, struct failure *failure)
{
    if (arm_lease(lease_holders > 0 ? 0 : seconds, failure) == -1) {
        return -1;
    }
    lease_s = seconds;
    return 0;
}

static void hold_lease(struct client *client)
{
    if (!client->holds_lease) {
        client->holds_lease = true;
        lease_holders++;
    }
}

void session_client_left(struct client *client)
{
    struct failure failure;
    if ((client->owner && !is_kept) || client == last_to_serve) {
        session_end();
    }
    if (client->holds_lease) {
        client->holds_lease = false;
        if (--lease_holders == 0 && arm_lease(lease_s, &failure) == -1) {
            give_up("the lease cannot be set");
        }
    }
}

/* False if nobody waits. */
static bool accept_one(void)
{
    int connection = accept4(listener.descriptor, NULL, NULL, SOCK_CLOEXEC);
    if (connection == -1) {
        return false;
    }
    if (is_our_own(connection)) {
        client_open(connection, false);
    } else {
        close(connection);
    }
    return true;
}

static void connection_waits(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    accept_one();
}

/* A socket's name has room for 107 bytes, the path below a test's directory may be longer. */
static int bind_at(int made, const char *path, struct failure *failure)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash[1] == '\0') {
        return fail_with(failure, EINVAL, "bind", path);
    }
    char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (parent == NULL) {
        give_up("out of memory");
    }
    int directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (directory == -1) {
        return fail(failure, "open", path);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, slash + 1);
    int result = 0;
    mode_t mask = umask(0177);
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
        result = fail_with(failure, ENAMETOOLONG, "bind", path);
    } else if (bind(made, (const struct sockaddr *)&address, sizeof address) == -1) {
        result = fail(failure, "bind", path);
    }
    umask(mask);
    close_descriptor(&directory);
    return result;
}

static int listen_at(const char *path, struct watch *watch, struct failure *failure)
{
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made == -1) {
        return fail(failure, "socket", path);
    }
    *watch = (struct watch){.descriptor = made, .ready = connection_waits};
    if (bind_at(made, path, failure) == -1) {
        close_descriptor(&watch->descriptor);
        return -1;
    }
    if (listen(made, CLIENT_MOST_CONNECTIONS) == -1) {
        fail(failure, "listen", path);
        unlink(path);
        close_descriptor(&watch->descriptor);
        return -1;
    }
    return 0;
}

static void stop_listening(void)
{
    if (listener.descriptor != -1) {
        unlink(listener_path);
        /* Whoever has connected by now believes to be connected. */
        while (accept_one()) {
        }
        watch_remove(&listener);
        close_descriptor(&listener.descriptor);
        free(listener_path);
        listener_path = NULL;
    }
}

static int move_listener(const char *path, struct failure *failure)
{
    if (listener_path != NULL && strcmp(listener_path, path) == 0) {
        return 0;
    }
    struct watch new;
    if (listen_at(path, &new, failure) == -1) {
        return -1;
    }
    stop_listening();
    listener = new;
    listener_path = strdup(path);
    if (listener_path == NULL || watch_add(&listener, EPOLLIN) == -1) {
        give_up("the listening socket cannot be watched");
    }
    return 0;
}

int session_keep(struct client *client, const struct message *message, struct failure *failure)
{
    const char *path = message_text(message, TAG_PATH);
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    uint64_t seconds = message_u64(message, TAG_LEASE, 0);
    if ((flags & ~(uint32_t)(KEEP_OWNED | KEEP_WHILE_CONNECTED)) != 0 ||
        ((flags & KEEP_OWNED) != 0 && (is_kept || seconds != 0 || flags != KEEP_OWNED))) {
        return fail_with(failure, EINVAL, "message", "FLAGS");
    }
    if (path != NULL && move_listener(path, failure) == -1) {
        return -1;
    }
    if ((flags & KEEP_OWNED) != 0) {
        return 0;
    }
    if ((flags & KEEP_WHILE_CONNECTED) != 0) {
        hold_lease(client);
    }
    if (set_lease(seconds, failure) == -1) {
        return -1;
    }
    return take_owner_out(failure);
}
