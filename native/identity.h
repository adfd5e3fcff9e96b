/* Who a command is in its container: groups, ids, capabilities, limits, seccomp filter. */
#ifndef PODS_IDENTITY_H
#define PODS_IDENTITY_H

#include "util.h"
#include "wire.h"

/* What needs the privileges that the next step gives up: limits, umask, a session of its own, the terminal. */
int identity_prepare(const struct message *orders, struct failure *failure);

/* Groups, ids, capabilities, no-new-privileges; also the filter, if it can only be installed with privileges. */
int identity_assume(const struct message *orders, struct failure *failure);

/* The filter, if it can be installed without privileges. Little may follow it but execve. */
int identity_confine(const struct message *orders, struct failure *failure);

#endif
