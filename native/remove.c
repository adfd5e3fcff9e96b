#define _GNU_SOURCE
#include "remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "util.h"

enum {
    /* Each level holds a descriptor. What lies deeper is moved up to the top first. */
    MOST_DEPTH = 128,
    /* A directory that fills while it is emptied is given up after so many rounds without a failure of ours. */
    MOST_ROUNDS = 16,
};

static const unsigned long get_flags = _IOR('f', 1, long);
static const unsigned long set_flags = _IOW('f', 2, long);
enum { IMMUTABLE = 0x10, APPEND_ONLY = 0x20 };

struct removal {
    int top;
    dev_t device;
    const char *last;
    unsigned moved;
    bool complete;
};

static void complain_of_entry(struct removal *removal, const char *call, const char *name)
{
    complain("remove: %s: %s: %s", call, name, strerror(errno));
    removal->complete = false;
}

/* The kernel checks in one step what st_dev or mount ids could only tell of an earlier moment: that the name is no link
 * and no mount point, not even of the same file system. */
static int open_entry(int parent, const char *name, uint64_t flags)
{
    struct open_how_form how = {
        .flags = flags | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_WITHIN_MOUNT | RESOLVE_WITHOUT_LINKS | RESOLVE_WITHOUT_MAGIC_LINKS,
    };
    return open_within(parent, name, &how);
}

/* A directory that its owner may not read, or not move to another one; root needs no permission. */
static bool permit(int parent, const char *name)
{
    int place = open_entry(parent, name, O_PATH | O_DIRECTORY);
    if (place == -1) {
        return false;
    }
    struct descriptor_path path = path_of_descriptor(place);
    bool permitted = chmod(path.text, 0700) == 0;
    close_descriptor(&place);
    return permitted;
}

static int open_directory(int parent, const char *name, struct stat *status)
{
    int directory = open_entry(parent, name, O_RDONLY | O_DIRECTORY);
    if (directory == -1 && errno == EACCES && permit(parent, name)) {
        directory = open_entry(parent, name, O_RDONLY | O_DIRECTORY);
    }
    if (directory != -1 && fstat(directory, status) == -1) {
        close_descriptor(&directory);
    }
    return directory;
}

static void allow_changes(int file)
{
    int flags = 0;
    if (ioctl(file, get_flags, &flags) == 0 && (flags & (IMMUTABLE | APPEND_ONLY)) != 0) {
        flags &= ~(IMMUTABLE | APPEND_ONLY);
        ioctl(file, set_flags, &flags);
    }
}

/* Opening a device or a FIFO could have effects, so its kind is asked for first, of the very file that is opened. */
static void allow_removal_of(int directory, const char *name)
{
    struct stat status;
    allow_changes(directory);
    int place = open_entry(directory, name, O_PATH);
    if (place != -1 && fstat(place, &status) == 0 && S_ISREG(status.st_mode)) {
        struct descriptor_path path = path_of_descriptor(place);
        int file = open(path.text, O_RDONLY | O_CLOEXEC);
        if (file != -1) {
            allow_changes(file);
            close(file);
        }
    }
    close_descriptor(&place);
}

static bool unlink_entry(int directory, const char *name, int flags)
{
    if (unlinkat(directory, name, flags) == 0 || errno == ENOENT) {
        return true;
    }
    if (errno != EPERM) {
        return false;
    }
    allow_removal_of(directory, name);
    return unlinkat(directory, name, flags) == 0 || errno == ENOENT;
}

static bool is_directory(int directory, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static long rename_to_top(struct removal *removal, int parent, const char *name)
{
    char place[32];
    long result;
    do {
        snprintf(place, sizeof place, ".moved-%u", removal->moved++);
        result = syscall(SYS_renameat2, parent, name, removal->top, place, 1 /* RENAME_NOREPLACE */);
    } while (result == -1 && errno == EEXIST);
    return result;
}

static bool move_to_top(struct removal *removal, int parent, const char *name)
{
    long result = rename_to_top(removal, parent, name);
    if (result == -1 && errno == EACCES && permit(parent, name)) {
        /* Its ".." changes, so it must be writable itself. */
        result = rename_to_top(removal, parent, name);
    }
    return result == 0 || errno == ENOENT;
}

static void remove_directory(struct removal *removal, int parent, const char *name, int depth);

static void remove_entry(struct removal *removal, int directory, const struct dirent *entry, int depth)
{
    const char *name = entry->d_name;
    if (!is_directory(directory, entry)) {
        if (!unlink_entry(directory, name, 0)) {
            complain_of_entry(removal, "unlink", name);
        }
    } else if (depth < MOST_DEPTH) {
        remove_directory(removal, directory, name, depth);
    } else if (!move_to_top(removal, directory, name)) {
        complain_of_entry(removal, "rename", name);
    }
}

static bool is_skipped(const struct removal *removal, const char *name, int depth)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return true;
    }
    return depth == 0 && removal->last != NULL && strcmp(name, removal->last) == 0;
}

/* One round through a directory; the number of entries that it met. */
static size_t empty(struct removal *removal, DIR *entries, int depth)
{
    size_t met = 0;
    rewinddir(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (!is_skipped(removal, entry->d_name, depth)) {
            remove_entry(removal, dirfd(entries), entry, depth + 1);
            met++;
        }
    }
    return met;
}

/* What was moved up from below, or appeared meanwhile, needs another round. */
static void empty_fully(struct removal *removal, DIR *entries, int depth)
{
    int rounds = 0;
    unsigned moved;
    size_t met;
    do {
        moved = removal->moved;
        met = empty(removal, entries, depth);
        rounds += depth > 0 || moved == removal->moved;
    } while (met > 0 && removal->complete && rounds < MOST_ROUNDS);
}

/* Somebody may still put something in between the last look and the end of the directory. */
static void remove_emptied(struct removal *removal, DIR *entries, int parent, const char *name, int depth)
{
    for (int tries = 0;; tries++) {
        empty_fully(removal, entries, depth);
        if (!removal->complete) {
            return;
        }
        if (depth == 0 && removal->last != NULL && !unlink_entry(dirfd(entries), removal->last, 0)) {
            complain_of_entry(removal, "unlink", removal->last);
            return;
        }
        if (unlink_entry(parent, name, AT_REMOVEDIR)) {
            return;
        }
        if ((errno != ENOTEMPTY && errno != EEXIST) || tries == MOST_ROUNDS) {
            complain_of_entry(removal, "rmdir", name);
            return;
        }
    }
}

static void remove_directory(struct removal *removal, int parent, const char *name, int depth)
{
    struct stat status;
    int directory = open_directory(parent, name, &status);
    if (directory == -1) {
        if (errno != ENOENT) {
            complain_of_entry(removal, errno == EXDEV ? "mount point" : "open", name);
        }
        return;
    }
    if (depth == 0) {
        removal->top = directory;
        removal->device = status.st_dev;
    }
    if (status.st_dev != removal->device) {
        close(directory);
        errno = EXDEV;
        complain_of_entry(removal, "other device", name);
        return;
    }
    if ((status.st_mode & 0300) != 0300) {
        fchmod(directory, 0700);
    }
    DIR *entries = fdopendir(directory);
    if (entries == NULL) {
        give_up("out of memory");
    }
    bool was_complete = removal->complete;
    removal->complete = true;
    remove_emptied(removal, entries, parent, name, depth);
    closedir(entries);
    removal->complete = removal->complete && was_complete;
}

bool remove_tree(int parent, const char *name, const char *last)
{
    struct removal removal = {.top = -1, .last = last, .complete = true};
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == -1) {
        if (errno != ENOENT) {
            complain_of_entry(&removal, "stat", name);
        }
        return removal.complete;
    }
    if (S_ISDIR(status.st_mode)) {
        remove_directory(&removal, parent, name, 0);
    } else if (!unlink_entry(parent, name, 0)) {
        complain_of_entry(&removal, "unlink", name);
    }
    return removal.complete;
}

int remove_split(const char *path, char **name)
{
    char *copy = strdup(path);
    if (copy == NULL) {
        give_up("out of memory");
    }
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *last = slash != NULL ? slash + 1 : copy;
    if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        free(copy);
        errno = EINVAL;
        return -1;
    }
    *name = strdup(last);
    if (*name == NULL) {
        give_up("out of memory");
    }
    copy[last - copy] = '\0';
    int parent = open(copy[0] != '\0' ? copy : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (parent == -1) {
        free(*name);
        *name = NULL;
    }
    return parent;
}

static bool remove_path(const char *path)
{
    char *name;
    int parent = remove_split(path, &name);
    if (parent == -1) {
        if (errno == ENOENT) {
            return true;
        }
        complain("remove: open: %s: %s", path, strerror(errno));
        return false;
    }
    bool complete = remove_tree(parent, name, NULL);
    free(name);
    close(parent);
    return complete;
}

int remove_main(int count, char **arguments)
{
    bool complete = true;
    if (count == 0) {
        complain("usage: nsenter_helper remove DIR...");
        return 125;
    }
    for (int i = 0; i < count; i++) {
        if (!remove_path(arguments[i])) {
            complete = false;
        }
    }
    return complete ? 0 : 1;
}
