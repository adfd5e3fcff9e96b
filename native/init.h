/* init: the first process of the sandbox. */
#ifndef PODS_INIT_H
#define PODS_INIT_H

#include <stdbool.h>

struct init_start {
    /* The owner's connection, the socket to the janitor, the session's lock (kept open, -1: none). */
    int control;
    int link;
    int lock;
    int level;
    bool user;
    bool proc;
};

/* In the janitor's child: waits for the janitor's word, sets the sandbox up and serves it. */
_Noreturn void init_run(const struct init_start *start);

/* The janitor's word: init may go on, its maps are written. */
struct init_word {
    int pid;
};

#endif
