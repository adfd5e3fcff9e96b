/* Where a forward leads: a network namespace, and addresses in it. */
#ifndef PODS_ROUTE_H
#define PODS_ROUTE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "util.h"
#include "wire.h"

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage room;
};

struct route {
    /* -1: the session's own. */
    int netns;
    size_t count;
    union address *addresses;
};

/* Reads NETWORK_NAMESPACE and ADDRESS of a FORWARD. */
int route_open(struct route *route, const struct message *message, struct failure *failure);
void route_close(struct route *route);

socklen_t address_length(const union address *address);

/* A non-blocking socket that connects, or has connected, to the address at `*index` or the next one that does not fail
 * at once; -1 if there is none. */
int route_connect(const struct route *route, size_t *index, int type);

#endif
