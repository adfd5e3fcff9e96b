#define _GNU_SOURCE
#include "forward_tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"
#include "pipes.h"

enum {
    MOST_ACCEPTED_IN_A_ROW = 64,
    /* Pieces that one connection moves before the others get their turn. */
    MOST_MOVES_IN_A_ROW = 16,
    PIECE_BYTES = 1 << 20,
    /* Three packets in seven seconds, where the kernel would try for two minutes. */
    CONNECT_RETRIES = 2,
    /* What found no descriptor tries again when some are given back, or after this. */
    RETRY_MS = 100,
};

enum side_name { CLIENT, SERVER, SIDES };

/* Events come edge-triggered; the flags keep what an event has said until the kernel says EAGAIN. */
struct side {
    struct watch watch;
    bool is_readable;
    bool is_writable;
};

/* One direction, from the side of the same index to the other one. Data is only read when the pipe is empty, so that
 * EAGAIN has one meaning each time. */
struct stream {
    struct splice_pipe *pipe;
    size_t buffered;
    bool has_ended;
    /* Nothing moves any more: the half-close is passed on, or the receiver takes nothing. */
    bool is_done;
    bool has_failed;
};

struct connection {
    struct connection *next;
    struct connection **link;
    struct connection *next_starving;
    struct tcp_forward *forward;
    struct side sides[SIDES];
    struct stream streams[SIDES];
    size_t address;
    bool is_connecting;
    bool is_starving;
};

struct tcp_forward {
    struct tcp_forward *next_paused;
    struct watch listener;
    struct route route;
    struct connection *connections;
    bool is_paused;
};

static const uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static struct connection *starving;
static struct tcp_forward *paused;
static struct watch retry_timer = {.descriptor = -1};

/* ---- when descriptors run out ---- */

static void set_retry_timer(void)
{
    struct itimerspec time = {.it_value.tv_nsec = RETRY_MS * 1000000};
    timerfd_settime(retry_timer.descriptor, 0, &time, NULL);
}

static void starve(struct connection *connection)
{
    if (!connection->is_starving) {
        connection->is_starving = true;
        connection->next_starving = starving;
        starving = connection;
        set_retry_timer();
    }
}

static void no_longer_starves(struct connection *connection)
{
    for (struct connection **one = &starving; connection->is_starving; one = &(*one)->next_starving) {
        if (*one == connection) {
            *one = connection->next_starving;
            connection->is_starving = false;
        }
    }
}

/* The loop tells a connection again that it is ready, and it tries again to get a pipe. */
static void feed_one(void)
{
    struct connection *connection = starving;
    if (connection != NULL) {
        no_longer_starves(connection);
        watch_change(&connection->sides[CLIENT].watch, all_events);
        watch_change(&connection->sides[SERVER].watch, all_events);
    }
}

static void feed_all(void)
{
    for (struct connection *one = starving; one != NULL; one = one->next_starving) {
        watch_change(&one->sides[CLIENT].watch, all_events);
        watch_change(&one->sides[SERVER].watch, all_events);
    }
    while (starving != NULL) {
        no_longer_starves(starving);
    }
}

static void resume_listeners(void)
{
    while (paused != NULL) {
        struct tcp_forward *forward = paused;
        paused = forward->next_paused;
        forward->is_paused = false;
        watch_change(&forward->listener, EPOLLIN);
    }
}

static void pause_listener(struct tcp_forward *forward)
{
    forward->is_paused = true;
    forward->next_paused = paused;
    paused = forward;
    watch_change(&forward->listener, 0);
    set_retry_timer();
}

static void retry_timer_ready(struct watch *watch, uint32_t events)
{
    uint64_t times;
    (void)events;
    if (read(watch->descriptor, &times, sizeof times) > 0) {
        resume_listeners();
        feed_all();
    }
}

/* Made with the first forward, while there are descriptors. */
static int open_retry_timer(void)
{
    if (retry_timer.descriptor != -1) {
        return 0;
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer == -1) {
        return -1;
    }
    retry_timer = (struct watch){.descriptor = timer, .ready = retry_timer_ready};
    if (watch_add(&retry_timer, EPOLLIN) == -1) {
        close_descriptor(&retry_timer.descriptor);
        return -1;
    }
    return 0;
}

/* ---- a connection's end ---- */

static void drop_pipe(struct stream *stream)
{
    if (stream->pipe != NULL) {
        pipe_give_back(stream->pipe);
        stream->pipe = NULL;
        stream->buffered = 0;
        feed_one();
    }
}

static void close_side(struct side *side, bool reset)
{
    if (side->watch.descriptor == -1) {
        return;
    }
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(side->watch.descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    watch_remove(&side->watch);
    close_descriptor(&side->watch.descriptor);
}

static void end_connection(struct connection *connection, bool reset)
{
    no_longer_starves(connection);
    *connection->link = connection->next;
    if (connection->next != NULL) {
        connection->next->link = connection->link;
    }
    for (int i = 0; i < SIDES; i++) {
        close_side(&connection->sides[i], reset);
        drop_pipe(&connection->streams[i]);
    }
    free(connection);
    feed_one();
    resume_listeners();
}

/* ---- moving data ---- */

enum moved { MOVED, WAITS, BROKEN };

/* From the socket into the empty pipe. BROKEN: the sender's connection is reset. */
static enum moved fill(struct connection *connection, struct stream *stream, struct side *from)
{
    if (!from->is_readable) {
        drop_pipe(stream);
        return WAITS;
    }
    if (stream->pipe == NULL && (stream->pipe = pipe_take()) == NULL) {
        starve(connection);
        return WAITS;
    }
    unsigned flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
    ssize_t count = splice(from->watch.descriptor, NULL, stream->pipe->write_end, NULL, PIECE_BYTES, flags);
    if (count > 0) {
        stream->buffered = (size_t)count;
        return MOVED;
    }
    if (count == 0) {
        stream->has_ended = true;
        drop_pipe(stream);
        return MOVED;
    }
    if (errno == EINTR) {
        return MOVED;
    }
    if (errno != EAGAIN) {
        return BROKEN;
    }
    from->is_readable = false;
    drop_pipe(stream);
    return WAITS;
}

/* From the pipe into the socket. A receiver that takes nothing any more may still have something to say. */
static enum moved empty(struct stream *stream, struct side *to)
{
    if (!to->is_writable) {
        return WAITS;
    }
    unsigned flags = SPLICE_F_NONBLOCK | SPLICE_F_MOVE;
    ssize_t count = splice(stream->pipe->read_end, NULL, to->watch.descriptor, NULL, stream->buffered, flags);
    if (count > 0) {
        stream->buffered -= (size_t)count;
        return MOVED;
    }
    if (count == -1 && errno == EINTR) {
        return MOVED;
    }
    if (count == -1 && errno == EAGAIN) {
        to->is_writable = false;
        return WAITS;
    }
    stream->is_done = true;
    stream->has_failed = true;
    to->is_readable = true;
    drop_pipe(stream);
    return WAITS;
}

static enum moved move(struct connection *connection, enum side_name from)
{
    struct stream *stream = &connection->streams[from];
    struct side *to = &connection->sides[from == CLIENT ? SERVER : CLIENT];
    for (int i = 0; i < MOST_MOVES_IN_A_ROW && !stream->is_done; i++) {
        enum moved moved;
        if (stream->buffered > 0) {
            moved = empty(stream, to);
        } else if (stream->has_ended) {
            shutdown(to->watch.descriptor, SHUT_WR);
            stream->is_done = true;
            return WAITS;
        } else {
            moved = fill(connection, stream, &connection->sides[from]);
        }
        if (moved != MOVED) {
            return moved;
        }
    }
    if (!stream->is_done) {
        /* The others' turn. Changing the watch makes an edge of what is ready, so that this one is called again. */
        watch_change(stream->buffered > 0 ? &to->watch : &connection->sides[from].watch, all_events);
    }
    return MOVED;
}

static void move_both(struct connection *connection)
{
    const struct stream *streams = connection->streams;
    /* Twice, since a receiver that has failed is read to its end, and may be the one that was read before. */
    for (int i = 0; i < 2 * SIDES; i++) {
        if (move(connection, i % SIDES == 0 ? CLIENT : SERVER) == BROKEN) {
            end_connection(connection, true);
            return;
        }
        if (i == SIDES - 1 && !streams[CLIENT].has_failed && !streams[SERVER].has_failed) {
            break;
        }
    }
    if (streams[CLIENT].is_done && streams[SERVER].is_done) {
        end_connection(connection, streams[CLIENT].has_failed || streams[SERVER].has_failed);
    }
}

/* ---- a connection's beginning ---- */

static void set_options(int connected)
{
    int on = 1;
    int retries = CONNECT_RETRIES;
    /* What the sender has sent as a packet of its own must not wait here for the answer to the one before. */
    setsockopt(connected, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(connected, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof retries);
}

static void side_ready(struct connection *connection, enum side_name name, uint32_t events);

static void client_ready(struct watch *watch, uint32_t events)
{
    side_ready(CONTAINER_OF(watch, struct connection, sides[CLIENT].watch), CLIENT, events);
}

static void server_ready(struct watch *watch, uint32_t events)
{
    side_ready(CONTAINER_OF(watch, struct connection, sides[SERVER].watch), SERVER, events);
}

/* Connects to the next address; none is left: the client's connection is reset, as by a port where nobody listens. */
static void try_next(struct connection *connection)
{
    struct side *server = &connection->sides[SERVER];
    close_side(server, false);
    server->is_readable = false;
    server->is_writable = false;
    int made = route_connect(&connection->forward->route, &connection->address, SOCK_STREAM);
    if (made != -1) {
        set_options(made);
        server->watch = (struct watch){.descriptor = made, .ready = server_ready};
        if (watch_add(&server->watch, all_events) == 0) {
            return;
        }
        close_descriptor(&server->watch.descriptor);
    }
    end_connection(connection, true);
}

static void finish_connecting(struct connection *connection)
{
    int error = 0;
    socklen_t length = sizeof error;
    int server = connection->sides[SERVER].watch.descriptor;
    if (getsockopt(server, SOL_SOCKET, SO_ERROR, &error, &length) == -1 || error != 0) {
        connection->address++;
        try_next(connection);
        return;
    }
    connection->is_connecting = false;
    move_both(connection);
}

static void side_ready(struct connection *connection, enum side_name name, uint32_t events)
{
    struct side *side = &connection->sides[name];
    side->is_readable = side->is_readable || (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    side->is_writable = side->is_writable || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    if (!connection->is_connecting) {
        move_both(connection);
    } else if (name == SERVER && side->is_writable) {
        finish_connecting(connection);
    } else if (name == CLIENT && (events & EPOLLERR) != 0) {
        end_connection(connection, true);
    }
}

static void begin_connection(struct tcp_forward *forward, int accepted)
{
    struct connection *connection = allocate(sizeof *connection);
    *connection = (struct connection){
        .next = forward->connections,
        .link = &forward->connections,
        .forward = forward,
        .sides[CLIENT].watch = {.descriptor = accepted, .ready = client_ready},
        .sides[SERVER].watch.descriptor = -1,
        .is_connecting = true,
    };
    if (connection->next != NULL) {
        connection->next->link = &connection->next;
    }
    forward->connections = connection;
    set_options(accepted);
    if (watch_add(&connection->sides[CLIENT].watch, all_events) == -1) {
        close_descriptor(&connection->sides[CLIENT].watch.descriptor);
        end_connection(connection, true);
        return;
    }
    try_next(connection);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    struct tcp_forward *forward = CONTAINER_OF(watch, struct tcp_forward, listener);
    (void)events;
    for (int i = 0; i < MOST_ACCEPTED_IN_A_ROW; i++) {
        /* Keeps the place of the connection's other side: without one it would have to be reset. */
        int place = fcntl(retry_timer.descriptor, F_DUPFD_CLOEXEC, 0);
        int accepted = place == -1 ? -1 : accept4(watch->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        bool starves = accepted == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
        close_descriptor(&place);
        if (starves) {
            pause_listener(forward);
        }
        if (accepted == -1) {
            return;
        }
        begin_connection(forward, accepted);
    }
}

/* ---- forwards ---- */

struct tcp_forward *tcp_forward_open(int listener, const struct route *route, struct failure *failure)
{
    if (open_retry_timer() == -1) {
        fail(failure, "timerfd_create", NULL);
        return NULL;
    }
    if (pipe_reserve() == -1) {
        fail(failure, "pipe2", NULL);
        return NULL;
    }
    fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
    struct tcp_forward *forward = allocate(sizeof *forward);
    *forward =
        (struct tcp_forward){.listener = {.descriptor = listener, .ready = listener_ready}, .route = *route};
    if (watch_add(&forward->listener, EPOLLIN) == -1) {
        fail(failure, "epoll_ctl", "listener");
        free(forward);
        return NULL;
    }
    return forward;
}

void tcp_forward_close(struct tcp_forward *forward)
{
    resume_listeners();
    watch_remove(&forward->listener);
    close_descriptor(&forward->listener.descriptor);
    while (forward->connections != NULL) {
        end_connection(forward->connections, false);
    }
    route_close(&forward->route);
    free(forward);
}
