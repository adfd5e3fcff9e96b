/* What happens between fork and execve in a process that a SPAWN asks for. */
#ifndef PODS_SPAWN_H
#define PODS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#include "util.h"
#include "wire.h"

enum spawn_flags { SPAWN_HOST_NETWORK = 1, SPAWN_PIDFD = 2, SPAWN_HELPER = 4, SPAWN_NEW_SESSION = 8 };

/* What init and stem keep for the programs that they execute: the limit that we raised for ourselves, and /dev/null,
 * opened before anybody could mount something else there. */
struct spawn_defaults {
    struct rlimit files;
    int dev_null;
};
extern struct spawn_defaults spawn_defaults;

/* Whether the request makes sense at all; -1 and the failure to answer. */
int spawn_check(const struct message *message, size_t descriptors, struct failure *failure);

/* In the child. Returns only with a failure. `report`, close-on-exec, is moved where no passed descriptor goes. */
int spawn_execute(
    const struct message *message, const int *descriptors, size_t count, int *report, struct failure *failure);

/* A sealed copy of this program in memory, made at the first call; -1 with errno. */
int spawn_own_copy(void);

#endif
