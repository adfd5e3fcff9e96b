/* The children that init has for its clients: programs, and short work that must not hold up the event loop.
 * Owns the table of them, their reports and their exit statuses. */
#ifndef PODS_TASK_H
#define PODS_TASK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client.h"
#include "wire.h"

/* Starts watching for children that end; -1 with errno. */
int task_open(void);

/* SPAWN. The descriptors stay the caller's. */
void task_spawn(struct client *client, const struct message *message, const int *descriptors, size_t count);

/* A child of init does `work` and ends; the answer is OK, or its failure. */
void task_work(
    struct client *client, const struct message *message, int (*work)(const struct message *, struct failure *));

/* The stem: what it has started, or could not start. `pidfd` is ours from here on. */
void task_stem_answered(uint64_t number, pid_t pid, int pidfd, const struct failure *failure);
void task_stem_lost(void);

/* Run in the child of either: reports the failure of what it ran and exits. */
_Noreturn void task_report(int report, const struct failure *failure);

#endif
