#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "requests.h"
#include "session.h"

/* So many requests are served before the others get their turn. */
enum { MOST_REQUESTS_IN_A_ROW = 16 };

/* Those that have not left. Without it only the kernel's event set would know them, and a leak could not be told. */
static struct client *connected[CLIENT_MOST_CONNECTIONS];
static char packet[WIRE_MOST_BYTES];
static struct field fields[WIRE_MOST_FIELDS];

static const uint32_t reading = EPOLLIN | EPOLLRDHUP;
static const uint32_t writing = EPOLLOUT;

void client_hold(struct client *client)
{
    client->references++;
}

void client_release(struct client *client)
{
    if (--client->references == 0) {
        free(client);
    }
}

/* Where this one is, NULL if it is nowhere; of NULL: where there is room. */
static struct client **find_place(const struct client *client)
{
    for (size_t i = 0; i < LENGTH(connected); i++) {
        if (connected[i] == client) {
            return &connected[i];
        }
    }
    return NULL;
}

static void leave(struct client *client)
{
    if (client->watch.descriptor == -1) {
        return;
    }
    watch_remove(&client->watch);
    close_descriptor(&client->watch.descriptor);
    outbox_clear(&client->outbox);
    *find_place(client) = NULL;
    session_client_left(client);
    client_release(client);
}

bool client_is_served(const struct client *client)
{
    return client->watch.descriptor == -1 || outbox_is_empty(&client->outbox);
}

/* While answers wait nothing is read: a client that does not read cannot make us queue more. */
static void watch_what_matters(struct client *client)
{
    watch_change(&client->watch, outbox_is_empty(&client->outbox) ? reading : writing);
}

void client_answer(struct client *client, const struct answer *answer, int descriptor)
{
    if (client->watch.descriptor == -1) {
        close_all(&descriptor, 1);
        return;
    }
    bool was_empty = outbox_is_empty(&client->outbox);
    size_t count = descriptor >= 0 ? 1 : 0;
    int socket = client->watch.descriptor;
    if (!outbox_send(&client->outbox, socket, answer->packet, answer->length, &descriptor, count)) {
        if (errno == ETOOMANYREFS && count > 0) {
            struct failure failure;
            fail(&failure, "sendmsg", "descriptor");
            uint64_t id;
            memcpy(&id, answer->packet + 8, sizeof id);
            client_error(client, le64toh(id), &failure);
        }
        /* Else the connection is broken, and its end is read soon. */
        return;
    }
    if (was_empty != outbox_is_empty(&client->outbox)) {
        watch_what_matters(client);
    }
}

void client_ok(struct client *client, uint64_t id)
{
    client_ok_descriptor(client, id, -1);
}

void client_ok_descriptor(struct client *client, uint64_t id, int descriptor)
{
    struct answer answer;
    answer_start(&answer, KIND_OK, id);
    client_answer(client, &answer, descriptor);
}

void client_error(struct client *client, uint64_t id, const struct failure *failure)
{
    struct answer answer;
    answer_failure(&answer, id, failure);
    client_answer(client, &answer, -1);
}

static void refuse(struct client *client, uint64_t id)
{
    struct failure failure;
    fail_with(&failure, EBADMSG, "message", NULL);
    client_error(client, id, &failure);
}

static void serve(struct client *client, struct delivery *delivery, bool readable)
{
    struct message message;
    bool good =
        message_parse(&message, delivery->packet, delivery->length, fields, WIRE_MOST_FIELDS, delivery->count);
    if (!readable || !good || message.id == 0 || message.kind == KIND_ENTER) {
        refuse(client, message.id);
    } else {
        request_serve(client, &message, delivery->descriptors, delivery->count);
    }
    close_all(delivery->descriptors, delivery->count);
}

/* Asked only now, because a client can hang up between what the event loop has seen and our reading. */
static bool has_hung_up(const struct client *client)
{
    struct pollfd end = {.fd = client->watch.descriptor, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0;
}

/* False at the end of the connection. */
static bool receive_one(struct client *client)
{
    struct delivery delivery = {.packet = packet, .room = sizeof packet};
    switch (packet_receive(client->watch.descriptor, &delivery, MSG_DONTWAIT)) {
    case RECEIVED_NOTHING:
        return true;
    case RECEIVED_END:
        close_all(delivery.descriptors, delivery.count);
        if (has_hung_up(client)) {
            return false;
        }
        refuse(client, 0);
        return true;
    case RECEIVED_UNREADABLE:
        serve(client, &delivery, false);
        return true;
    case RECEIVED_PACKET:
        serve(client, &delivery, true);
        return true;
    }
    return false;
}

static void ready(struct watch *watch, uint32_t events)
{
    struct client *client = CONTAINER_OF(watch, struct client, watch);
    client_hold(client);
    if ((events & EPOLLOUT) != 0) {
        if (!outbox_flush(&client->outbox, watch->descriptor)) {
            leave(client);
        } else if (outbox_is_empty(&client->outbox)) {
            watch_what_matters(client);
            session_client_served(client);
        }
    }
    bool hung_up = (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    if (client->watch.descriptor != -1 && hung_up && !outbox_is_empty(&client->outbox)) {
        /* Nobody reads these answers any more, and without reading we would not see the end. */
        leave(client);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) {
        for (int i = 0; i < MOST_REQUESTS_IN_A_ROW; i++) {
            if (client->watch.descriptor == -1 || !outbox_is_empty(&client->outbox)) {
                break;
            }
            if (!receive_one(client)) {
                leave(client);
            }
        }
    }
    client_release(client);
}

struct client *client_open(int socket, bool owner)
{
    struct client **place = find_place(NULL);
    if (place == NULL) {
        close(socket);
        return NULL;
    }
    struct client *client = allocate(sizeof *client);
    *client = (struct client){.watch = {.descriptor = socket, .ready = ready}, .references = 1, .owner = owner};
    outbox_init(&client->outbox);
    if (watch_add(&client->watch, reading) == -1) {
        close(socket);
        free(client);
        return NULL;
    }
    *place = client;
    return client;
}
