/* TCP forwards: a listening socket of the host, connections into a network namespace, data by splice(2). */
#ifndef PODS_FORWARD_TCP_H
#define PODS_FORWARD_TCP_H

#include "route.h"
#include "util.h"

struct tcp_forward;

/* Takes the listener and the route, unless it fails: NULL. */
struct tcp_forward *tcp_forward_open(int listener, const struct route *route, struct failure *failure);

/* Closes the listener and every connection. */
void tcp_forward_close(struct tcp_forward *forward);

#endif
