/* A connection to init: reads its requests, queues its answers. What the requests mean is requests.c's business. */
#ifndef PODS_CLIENT_H
#define PODS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "outbox.h"
#include "util.h"
#include "wire.h"

enum { CLIENT_MOST_TASKS = 4096, CLIENT_MOST_CONNECTIONS = 256 };

struct client {
    struct watch watch;
    struct outbox outbox;
    /* One for the connection, one for every task: a process may outlive its client. */
    unsigned references;
    unsigned tasks;
    bool owner;
    /* The session's lease does not run while it is connected. */
    bool holds_lease;
};

/* Takes the socket. NULL if it cannot be watched or there are too many connections; it is closed then. */
struct client *client_open(int socket, bool owner);

void client_hold(struct client *client);
void client_release(struct client *client);

/* The answers. Each is dropped if the client has left. `descriptor` is -1 or ours to give away. */
void client_answer(struct client *client, const struct answer *answer, int descriptor);
void client_ok(struct client *client, uint64_t id);
void client_ok_descriptor(struct client *client, uint64_t id, int descriptor);
void client_error(struct client *client, uint64_t id, const struct failure *failure);

/* Nothing waits to be sent to this client any more. */
bool client_is_served(const struct client *client);

#endif
