/* The event loop of init: one epoll descriptor, and objects that are told when their descriptor is ready. */
#ifndef PODS_LOOP_H
#define PODS_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

/* Part of an object that waits. It may be freed as soon as it has been removed, also by another object's event. */
struct watch {
    int descriptor;
    void (*ready)(struct watch *watch, uint32_t events);
};

/* Makes the loop's descriptor; -1 with errno. */
int loop_open(void);

/* Runs until the process exits. */
_Noreturn void loop_run(void);

/* -1 with errno. The caller owns the descriptor. */
int watch_add(struct watch *watch, uint32_t events);

/* Waits for other events. Also makes the loop look again at an edge-triggered descriptor that is still ready. */
void watch_change(struct watch *watch, uint32_t events);

/* No event of this watch comes any more. */
void watch_remove(struct watch *watch);

#endif
