#define _GNU_SOURCE
#include "route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "netns.h"

socklen_t address_length(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->six : sizeof address->four;
}

/* "IP PORT" */
static bool parse_address(union address *address, const char *text)
{
    char ip[INET6_ADDRSTRLEN];
    const char *space = strchr(text, ' ');
    uint64_t port;
    if (space == NULL || (size_t)(space - text) >= sizeof ip || !parse_number(space + 1, 65535, &port) || port == 0) {
        return false;
    }
    memcpy(ip, text, (size_t)(space - text));
    ip[space - text] = '\0';
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, ip, &address->four.sin_addr) == 1) {
        address->four.sin_family = AF_INET;
        address->four.sin_port = htons((uint16_t)port);
        return true;
    }
    if (inet_pton(AF_INET6, ip, &address->six.sin6_addr) == 1) {
        address->six.sin6_family = AF_INET6;
        address->six.sin6_port = htons((uint16_t)port);
        return true;
    }
    return false;
}

int route_open(struct route *route, const struct message *message, struct failure *failure)
{
    *route = (struct route){.netns = -1, .count = message_count(message, TAG_ADDRESS)};
    route->addresses = allocate_array(route->count, sizeof *route->addresses);
    const struct field *field = NULL;
    for (size_t i = 0; i < route->count; i++) {
        field = message_next(message, TAG_ADDRESS, field);
        if (!parse_address(&route->addresses[i], field->data)) {
            fail_with(failure, EINVAL, "forward", field->data);
            route_close(route);
            return -1;
        }
    }
    if (netns_open(message_text(message, TAG_NETWORK_NAMESPACE), &route->netns, failure) == -1) {
        route_close(route);
        return -1;
    }
    /* Shows now, and not at the first connection, whether it is a network namespace that we may join. */
    int probe = netns_socket(route->netns, AF_INET, SOCK_DGRAM, 0);
    if (probe == -1) {
        fail(failure, "setns", message_text(message, TAG_NETWORK_NAMESPACE));
        route_close(route);
        return -1;
    }
    close_descriptor(&probe);
    return 0;
}

void route_close(struct route *route)
{
    close_descriptor(&route->netns);
    free(route->addresses);
    route->addresses = NULL;
}

int route_connect(const struct route *route, size_t *index, int type)
{
    for (; *index < route->count; (*index)++) {
        const union address *address = &route->addresses[*index];
        int made = netns_socket(route->netns, address->any.sa_family, type | SOCK_NONBLOCK, 0);
        if (made == -1) {
            continue;
        }
        if (connect(made, &address->any, address_length(address)) == 0 || errno == EINPROGRESS) {
            return made;
        }
        close_descriptor(&made);
    }
    return -1;
}
