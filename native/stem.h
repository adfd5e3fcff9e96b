/* The stem: a child of init that stays in the host's network namespace and starts there what init asks for. */
#ifndef PODS_STEM_H
#define PODS_STEM_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* Forks it; in it, calls `close_rest` first and does not return. -1 with errno. */
int stem_fork(void (*close_rest)(void));

/* Init's side: watches the stem; -1 with errno. */
int stem_watch(void);

/* Passes a SPAWN on. The answer goes to task_stem_answered(). The descriptors stay the caller's. -1 with errno. */
int stem_spawn(uint64_t number, const struct message *message, const int *descriptors, size_t count);

#endif
