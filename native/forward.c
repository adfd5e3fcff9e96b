#define _GNU_SOURCE
#include "forward.h"

#include <errno.h>

void forward_serve(struct client *client, const struct message *message, int *descriptors, size_t count)
{
    struct failure failure;
    (void)descriptors;
    (void)count;
    fail_with(&failure, ENOSYS, "forward", NULL);
    client_error(client, message->id, &failure);
}
