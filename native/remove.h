/* Deleting trees: by descriptor, never through a link, never across a mount. */
#ifndef PODS_REMOVE_H
#define PODS_REMOVE_H

#include <stdbool.h>

/* Removes `name` in the open directory `parent` with all that is in it. Complains of what cannot be removed, and goes
 * on; false then. What is not there is no fault. `last`, if not NULL, is a name directly in the tree that is removed
 * when everything else is gone. */
bool remove_tree(int parent, const char *name, const char *last);

/* Opens the directory that `path` is in, following links, and gives the last component, which the caller frees; -1 with
 * errno, EINVAL if the path has no last component to remove. */
int remove_split(const char *path, char **name);

int remove_main(int count, char **arguments);

#endif
