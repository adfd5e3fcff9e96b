/* The session's cgroup directories, in every hierarchy that has one. */
#ifndef PODS_CGROUPS_H
#define PODS_CGROUPS_H

#include <stddef.h>

/* A process that the v1 freezer holds dies of nothing, and holds up the end of its PID namespace. */
void cgroups_thaw(char *const *directories, size_t count);

/* Kills what is in them and below. */
void cgroups_kill(char *const *directories, size_t count);

/* Removes them and all below, deepest first; gives up after some seconds. */
void cgroups_remove(char *const *directories, size_t count);

#endif
