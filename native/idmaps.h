/* The maps of a new user namespace, written from outside. */
#ifndef PODS_IDMAPS_H
#define PODS_IDMAPS_H

#include <stddef.h>
#include <sys/types.h>

#include "util.h"

struct id_map {
    /* Each INSIDE:OUTSIDE:COUNT. */
    char **lines;
    size_t count;
    /* Set-uid program that writes the map, NULL: we do. */
    const char *program;
};

/* Whether every line has the form it should have. */
bool idmaps_check(const struct id_map *map);

/* Writes both maps of the process's user namespace, both programs at the same time. */
int idmaps_write(pid_t pid, const struct id_map *uids, const struct id_map *gids, struct failure *failure);

#endif
