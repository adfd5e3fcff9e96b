/* Network namespaces: a new one's loopback, and sockets in another one than init's own. */
#ifndef PODS_NETNS_H
#define PODS_NETNS_H

#include "util.h"

/* Remembers the namespace that init is in, to come back to; -1 with errno. */
int netns_remember_own(void);

/* -1 is init's own, else a descriptor to close. */
int netns_open(const char *path, int *netns, struct failure *failure);

/* Into the namespace, and back from it to init's own; errno is kept on the way back. */
int netns_enter(int netns);
void netns_return(int netns);

/* A close-on-exec socket that lives in the namespace; -1 with errno. */
int netns_socket(int netns, int domain, int type, int protocol);

/* Sets `lo` up in the namespace that the caller is in. */
int netns_loopback_up(struct failure *failure);

#endif
