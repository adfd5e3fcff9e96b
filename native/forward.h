/* FORWARD: the session's forwards by their number, and where they lead. */
#ifndef PODS_FORWARD_H
#define PODS_FORWARD_H

#include <stddef.h>

#include "client.h"
#include "wire.h"

/* Begins or ends a forward and answers. Sets the descriptor to -1 if it takes it. */
void forward_serve(struct client *client, const struct message *message, int *descriptors, size_t count);

#endif
