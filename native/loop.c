#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stddef.h>

#include "util.h"

enum { MOST_EVENTS = 64 };

static int loop = -1;
static struct epoll_event batch[MOST_EVENTS];
static int batch_length;

int loop_open(void)
{
    loop = epoll_create1(EPOLL_CLOEXEC);
    return loop == -1 ? -1 : 0;
}

void loop_run(void)
{
    for (;;) {
        batch_length = epoll_wait(loop, batch, MOST_EVENTS, -1);
        if (batch_length == -1 && errno != EINTR) {
            give_up("the event loop is broken");
        }
        for (int i = 0; i < batch_length; i++) {
            struct watch *watch = batch[i].data.ptr;
            if (watch != NULL) {
                watch->ready(watch, batch[i].events);
            }
        }
    }
}

int watch_add(struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(loop, EPOLL_CTL_ADD, watch->descriptor, &event);
}

void watch_change(struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop, EPOLL_CTL_MOD, watch->descriptor, &event) == -1) {
        give_up("a watched descriptor is lost");
    }
}

void watch_remove(struct watch *watch)
{
    /* The copies that children hold until they execute keep an open file in the set after we close it. */
    epoll_ctl(loop, EPOLL_CTL_DEL, watch->descriptor, NULL);
    for (int i = 0; i < batch_length; i++) {
        if (batch[i].data.ptr == watch) {
            batch[i].data.ptr = NULL;
        }
    }
}
