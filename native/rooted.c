#define _GNU_SOURCE
#include "rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A rename anywhere above the path makes openat2 give up rather than be led astray; it is to be asked again. */
enum { MOST_RACES = 64 };

int open_racing(int directory, const char *path, const struct open_how_form *how)
{
    int file;
    int tries = 0;
    do {
        file = open_within(directory, path, how);
    } while (file == -1 && (errno == EAGAIN || errno == EINTR) && ++tries < MOST_RACES);
    return file;
}

/* Nobody may hold up init with a FIFO that has no writer: it is opened without waiting, and made to wait afterwards. */
static int open_without_waiting(int directory, const char *path, struct open_how_form how, struct failure *failure)
{
    bool wanted = (how.flags & O_NONBLOCK) != 0 || (how.flags & O_PATH) != 0;
    how.flags |= O_CLOEXEC;
    if (!wanted) {
        how.flags |= O_NONBLOCK | O_NOCTTY;
    }
    int file = open_racing(directory, path, &how);
    if (file == -1) {
        return fail(failure, "openat2", path);
    }
    if (!wanted) {
        int flags = fcntl(file, F_GETFL);
        fcntl(file, F_SETFL, flags & ~O_NONBLOCK);
    }
    return file;
}

int open_rooted(const char *root, const char *path, struct open_how_form how, struct failure *failure)
{
    int directory = AT_FDCWD;
    if (root != NULL) {
        directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory == -1) {
            return fail(failure, "open", root);
        }
        how.resolve = RESOLVE_AS_ROOT | RESOLVE_WITHOUT_MAGIC_LINKS;
    }
    int file = open_without_waiting(directory, path, how, failure);
    if (root != NULL) {
        close_descriptor(&directory);
    }
    return file;
}
