/* Opening below a directory that somebody may be changing: nothing leads out of it. */
#ifndef PODS_ROOTED_H
#define PODS_ROOTED_H

#include "kernel.h"
#include "util.h"

/* openat2(2), asked again where a rename made it give up. */
int open_racing(int directory, const char *path, const struct open_how_form *how);

/* `path` with `root` as its root directory; without a root as it is. `how.resolve` is set here. */
int open_rooted(const char *root, const char *path, struct open_how_form how, struct failure *failure);

#endif
