/* What each kind of request does. */
#ifndef PODS_REQUESTS_H
#define PODS_REQUESTS_H

#include <stddef.h>

#include "client.h"
#include "wire.h"

/* Answers at once, or starts a task that will. Sets a descriptor to -1 if it takes it. */
void request_serve(struct client *client, const struct message *message, int *descriptors, size_t count);

#endif
