/* UDP forwards: a bound socket of the host, and for each source a connected socket in a network namespace. */
#ifndef PODS_FORWARD_UDP_H
#define PODS_FORWARD_UDP_H

#include <stdint.h>

#include "route.h"
#include "util.h"

struct udp_forward;

/* Takes the socket and the route, unless it fails: NULL. A source that is silent for `idle_s` seconds is forgotten. */
struct udp_forward *udp_forward_open(int bound, const struct route *route, uint64_t idle_s, struct failure *failure);

void udp_forward_close(struct udp_forward *forward);

#endif
