#define _GNU_SOURCE
#include "forward_udp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

enum { BUCKETS = 256, MOST_FLOWS = 1024, MOST_DATAGRAMS_IN_A_ROW = 64, DATAGRAM_BYTES = 65536 };

/* The address of ours that a source has written to, which the answers must come from. */
union packet_info {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct flow {
    struct flow *next;
    /* By time of last use. */
    struct flow *older;
    struct flow *newer;
    struct udp_forward *forward;
    struct watch watch;
    union address source;
    union packet_info reached;
    size_t reached_length;
    size_t address;
    int64_t used_ms;
    bool was_answered;
};

struct udp_forward {
    struct watch bound;
    struct watch timer;
    struct route route;
    struct flow *by_source[BUCKETS];
    struct flow *oldest;
    struct flow *newest;
    unsigned count;
    int64_t idle_ms;
};

static char datagram[DATAGRAM_BYTES];

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- flows ---- */

static bool is_same(const union address *one, const union address *other)
{
    if (one->any.sa_family != other->any.sa_family) {
        return false;
    }
    if (one->any.sa_family == AF_INET6) {
        return one->six.sin6_port == other->six.sin6_port && one->six.sin6_scope_id == other->six.sin6_scope_id &&
               memcmp(&one->six.sin6_addr, &other->six.sin6_addr, sizeof one->six.sin6_addr) == 0;
    }
    return one->four.sin_port == other->four.sin_port && one->four.sin_addr.s_addr == other->four.sin_addr.s_addr;
}

static struct flow **bucket_of(struct udp_forward *forward, const union address *source)
{
    uint32_t hash = 2166136261U;
    uint32_t words[5] = {0};
    if (source->any.sa_family == AF_INET6) {
        words[0] = source->six.sin6_port;
        memcpy(&words[1], &source->six.sin6_addr, sizeof source->six.sin6_addr);
    } else {
        words[0] = source->four.sin_port;
        words[1] = source->four.sin_addr.s_addr;
    }
    for (size_t i = 0; i < LENGTH(words); i++) {
        hash = (hash ^ words[i]) * 16777619U;
        hash ^= hash >> 15;
    }
    return &forward->by_source[hash % BUCKETS];
}

static void append_newest(struct flow *flow)
{
    struct udp_forward *forward = flow->forward;
    flow->older = forward->newest;
    flow->newer = NULL;
    if (forward->newest != NULL) {
        forward->newest->newer = flow;
    } else {
        forward->oldest = flow;
    }
    forward->newest = flow;
    flow->used_ms = now_ms();
}

static void take_out(struct flow *flow)
{
    struct udp_forward *forward = flow->forward;
    if (flow->older != NULL) {
        flow->older->newer = flow->newer;
    } else {
        forward->oldest = flow->newer;
    }
    if (flow->newer != NULL) {
        flow->newer->older = flow->older;
    } else {
        forward->newest = flow->older;
    }
}

static void use(struct flow *flow)
{
    take_out(flow);
    append_newest(flow);
}

static void end_flow(struct flow *flow)
{
    struct udp_forward *forward = flow->forward;
    struct flow **one = bucket_of(forward, &flow->source);
    while (*one != flow) {
        one = &(*one)->next;
    }
    *one = flow->next;
    take_out(flow);
    if (flow->watch.descriptor != -1) {
        watch_remove(&flow->watch);
        close_descriptor(&flow->watch.descriptor);
    }
    forward->count--;
    free(flow);
}

static void arm(struct udp_forward *forward)
{
    struct itimerspec time = {.it_value = {.tv_sec = 0}};
    if (forward->oldest != NULL) {
        int64_t left = forward->oldest->used_ms + forward->idle_ms - now_ms();
        left = left < 1 ? 1 : left;
        time.it_value = (struct timespec){.tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000};
    }
    timerfd_settime(forward->timer.descriptor, 0, &time, NULL);
}

static void timer_ready(struct watch *watch, uint32_t events)
{
    struct udp_forward *forward = CONTAINER_OF(watch, struct udp_forward, timer);
    uint64_t times;
    (void)events;
    if (read(watch->descriptor, &times, sizeof times) <= 0) {
        return;
    }
    int64_t now = now_ms();
    while (forward->oldest != NULL && forward->oldest->used_ms + forward->idle_ms <= now) {
        end_flow(forward->oldest);
    }
    arm(forward);
}

/* ---- from the sandbox to the source ---- */

static void flow_ready(struct watch *watch, uint32_t events);

/* Connects to the next address that takes it. */
static bool connect_flow(struct flow *flow)
{
    if (flow->watch.descriptor != -1) {
        watch_remove(&flow->watch);
        close_descriptor(&flow->watch.descriptor);
    }
    int made = route_connect(&flow->forward->route, &flow->address, SOCK_DGRAM);
    if (made == -1 && (errno == EMFILE || errno == ENFILE) && flow->forward->oldest != flow) {
        flow->address = 0;
        end_flow(flow->forward->oldest);
        made = route_connect(&flow->forward->route, &flow->address, SOCK_DGRAM);
    }
    if (made == -1) {
        return false;
    }
    flow->watch = (struct watch){.descriptor = made, .ready = flow_ready};
    if (watch_add(&flow->watch, EPOLLIN) == -1) {
        close_descriptor(&flow->watch.descriptor);
        return false;
    }
    return true;
}

static void send_back(struct flow *flow, size_t length)
{
    struct iovec part = {.iov_base = datagram, .iov_len = length};
    struct msghdr message = {
        .msg_name = &flow->source.any,
        .msg_namelen = address_length(&flow->source),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = flow->reached_length > 0 ? &flow->reached : NULL,
        .msg_controllen = flow->reached_length,
    };
    /* A datagram that does not fit now is lost, as datagrams are. */
    sendmsg(flow->forward->bound.descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void flow_ready(struct watch *watch, uint32_t events)
{
    struct flow *flow = CONTAINER_OF(watch, struct flow, watch);
    (void)events;
    for (int i = 0; i < MOST_DATAGRAMS_IN_A_ROW; i++) {
        ssize_t length = recv(watch->descriptor, datagram, sizeof datagram, MSG_DONTWAIT);
        if (length == -1) {
            /* Whatever the error is, a refusal most likely, it is told once; the next datagram tries again. */
            return;
        }
        flow->was_answered = true;
        use(flow);
        send_back(flow, (size_t)length);
    }
}

/* ---- from the source into the sandbox ---- */

/* A refusal by an address of this machine is there as soon as the datagram is sent. */
static bool was_refused(const struct flow *flow)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (flow->was_answered) {
        return false;
    }
    return getsockopt(flow->watch.descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0;
}

static void send_in(struct flow *flow, size_t length)
{
    for (;;) {
        if (flow->watch.descriptor == -1 && !connect_flow(flow)) {
            /* None of the addresses: the next datagram begins at the first one again. */
            flow->address = 0;
            return;
        }
        ssize_t sent = send(flow->watch.descriptor, datagram, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == -1 && errno == ECONNREFUSED) {
            /* The error of an earlier datagram. */
            sent = send(flow->watch.descriptor, datagram, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (!was_refused(flow) || flow->forward->route.count == 1) {
            return;
        }
        watch_remove(&flow->watch);
        close_descriptor(&flow->watch.descriptor);
        flow->address++;
    }
}

static struct flow *find_flow(struct udp_forward *forward, const union address *source)
{
    struct flow *flow = *bucket_of(forward, source);
    while (flow != NULL && !is_same(&flow->source, source)) {
        flow = flow->next;
    }
    return flow;
}

static struct flow *begin_flow(struct udp_forward *forward, const union address *source)
{
    if (forward->count == MOST_FLOWS) {
        end_flow(forward->oldest);
    }
    struct flow *flow = allocate(sizeof *flow);
    struct flow **bucket = bucket_of(forward, source);
    *flow = (struct flow){.next = *bucket, .forward = forward, .watch = {.descriptor = -1}, .source = *source};
    *bucket = flow;
    forward->count++;
    append_newest(flow);
    if (forward->oldest == flow) {
        arm(forward);
    }
    return flow;
}

static void start_info(struct flow *flow, int level, int type, size_t length)
{
    memset(&flow->reached, 0, sizeof flow->reached);
    flow->reached.header.cmsg_level = level;
    flow->reached.header.cmsg_type = type;
    flow->reached.header.cmsg_len = CMSG_LEN(length);
    flow->reached_length = CMSG_SPACE(length);
}

static void remember_reached(struct flow *flow, struct msghdr *message)
{
    flow->reached_length = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            struct in_pktinfo answer = {.ipi_spec_dst = info.ipi_addr};
            start_info(flow, IPPROTO_IP, IP_PKTINFO, sizeof answer);
            memcpy(CMSG_DATA(&flow->reached.header), &answer, sizeof answer);
        } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(part), sizeof info);
            start_info(flow, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info);
            memcpy(CMSG_DATA(&flow->reached.header), &info, sizeof info);
        }
    }
}

static bool receive_one(struct udp_forward *forward)
{
    union address source;
    union packet_info control;
    struct iovec part = {.iov_base = datagram, .iov_len = sizeof datagram};
    struct msghdr message = {
        .msg_name = &source.any,
        .msg_namelen = sizeof source,
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control.space,
    };
    ssize_t length = recvmsg(forward->bound.descriptor, &message, MSG_DONTWAIT);
    if (length == -1) {
        return false;
    }
    struct flow *flow = find_flow(forward, &source);
    if (flow == NULL) {
        flow = begin_flow(forward, &source);
    } else {
        use(flow);
    }
    remember_reached(flow, &message);
    send_in(flow, (size_t)length);
    return true;
}

static void bound_ready(struct watch *watch, uint32_t events)
{
    struct udp_forward *forward = CONTAINER_OF(watch, struct udp_forward, bound);
    (void)events;
    for (int i = 0; i < MOST_DATAGRAMS_IN_A_ROW; i++) {
        if (!receive_one(forward)) {
            return;
        }
    }
}

/* ---- forwards ---- */

static void ask_for_info(int bound)
{
    int on = 1;
    /* A socket for IPv6 takes both, for the IPv4 addresses that are mapped into it. */
    setsockopt(bound, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(bound, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

struct udp_forward *udp_forward_open(int bound, const struct route *route, uint64_t idle_s, struct failure *failure)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer == -1) {
        fail(failure, "timerfd_create", NULL);
        return NULL;
    }
    struct udp_forward *forward = allocate(sizeof *forward);
    *forward = (struct udp_forward){
        .bound = {.descriptor = bound, .ready = bound_ready},
        .timer = {.descriptor = timer, .ready = timer_ready},
        .route = *route,
        .idle_ms = (int64_t)idle_s * 1000,
    };
    ask_for_info(bound);
    if (watch_add(&forward->bound, EPOLLIN) == -1) {
        fail(failure, "epoll_ctl", "socket");
        close_descriptor(&timer);
        free(forward);
        return NULL;
    }
    if (watch_add(&forward->timer, EPOLLIN) == -1) {
        fail(failure, "epoll_ctl", "timer");
        watch_remove(&forward->bound);
        close_descriptor(&timer);
        free(forward);
        return NULL;
    }
    return forward;
}

void udp_forward_close(struct udp_forward *forward)
{
    while (forward->oldest != NULL) {
        end_flow(forward->oldest);
    }
    watch_remove(&forward->bound);
    watch_remove(&forward->timer);
    close_descriptor(&forward->bound.descriptor);
    close_descriptor(&forward->timer.descriptor);
    route_close(&forward->route);
    free(forward);
}
