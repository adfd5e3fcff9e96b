#define _GNU_SOURCE
#include "forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "forward_tcp.h"
#include "forward_udp.h"
#include "route.h"

enum { IDLE_S = 60, LONGEST_IDLE_S = 86400 };

struct forward {
    struct forward *next;
    uint64_t number;
    /* One of the two. */
    struct tcp_forward *tcp;
    struct udp_forward *udp;
};

static struct forward *forwards;
static uint64_t last_number;

static int socket_option(int descriptor, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == -1 ? -1 : value;
}

static bool is_bound(int descriptor)
{
    union address address;
    union address peer;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    if (getsockname(descriptor, &address.any, &length) == -1) {
        return false;
    }
    length = sizeof peer;
    bool is_connected = getpeername(descriptor, &peer.any, &length) == 0;
    /* The port is at the same place in both families. */
    return address.four.sin_port != 0 && !is_connected;
}

/* SOCK_STREAM for a listening TCP socket, SOCK_DGRAM for a bound UDP socket, 0 for anything else. */
static int kind_of(int descriptor)
{
    int domain = socket_option(descriptor, SO_DOMAIN);
    int protocol = socket_option(descriptor, SO_PROTOCOL);
    if (domain != AF_INET && domain != AF_INET6) {
        return 0;
    }
    if (protocol == IPPROTO_TCP && socket_option(descriptor, SO_ACCEPTCONN) == 1) {
        return SOCK_STREAM;
    }
    return protocol == IPPROTO_UDP && is_bound(descriptor) ? SOCK_DGRAM : 0;
}

static uint64_t idle_time(const struct message *message)
{
    uint64_t seconds = message_u64(message, TAG_LEASE, IDLE_S);
    if (seconds == 0) {
        return IDLE_S;
    }
    return seconds > LONGEST_IDLE_S ? LONGEST_IDLE_S : seconds;
}

static struct forward *begin(const struct message *message, int *descriptor, struct failure *failure)
{
    int kind = kind_of(*descriptor);
    struct route route;
    struct forward made = {0};
    if (kind == 0) {
        fail_with(failure, EINVAL, "forward", "neither a listening TCP nor a bound UDP socket");
        return NULL;
    }
    if (route_open(&route, message, failure) == -1) {
        return NULL;
    }
    if (kind == SOCK_STREAM) {
        made.tcp = tcp_forward_open(*descriptor, &route, failure);
    } else {
        made.udp = udp_forward_open(*descriptor, &route, idle_time(message), failure);
    }
    if (made.tcp == NULL && made.udp == NULL) {
        route_close(&route);
        return NULL;
    }
    *descriptor = -1;
    struct forward *forward = allocate(sizeof *forward);
    *forward = made;
    forward->number = ++last_number;
    forward->next = forwards;
    forwards = forward;
    return forward;
}

static int end(uint64_t number, struct failure *failure)
{
    for (struct forward **one = &forwards; *one != NULL; one = &(*one)->next) {
        if ((*one)->number == number) {
            struct forward *forward = *one;
            *one = forward->next;
            if (forward->tcp != NULL) {
                tcp_forward_close(forward->tcp);
            } else {
                udp_forward_close(forward->udp);
            }
            free(forward);
            return 0;
        }
    }
    return fail_with(failure, ENOENT, "forward", "no such number");
}

void forward_serve(struct client *client, const struct message *message, int *descriptors, size_t count)
{
    struct failure failure;
    bool has_number = message_field(message, TAG_FORWARD) != NULL;
    bool has_address = message_field(message, TAG_ADDRESS) != NULL;
    if (has_number ? message->count != 1 || count != 0 : !has_address || count != 1) {
        fail_with(&failure, EBADMSG, "message", "ADDRESS and a descriptor, or FORWARD alone");
        client_error(client, message->id, &failure);
        return;
    }
    if (has_number) {
        if (end(message_u64(message, TAG_FORWARD, 0), &failure) == -1) {
            client_error(client, message->id, &failure);
        } else {
            client_ok(client, message->id);
        }
        return;
    }
    const struct forward *forward = begin(message, descriptors, &failure);
    if (forward == NULL) {
        client_error(client, message->id, &failure);
        return;
    }
    struct answer answer;
    answer_start(&answer, KIND_OK, message->id);
    answer_u64(&answer, TAG_FORWARD, forward->number);
    client_answer(client, &answer, -1);
}
