#define _GNU_SOURCE
#include "pins.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "netns.h"

static const struct {
    uint32_t bit;
    const char *name;
} kinds[] = {
    {CLONE_NEWNET, "net"},
    {CLONE_NEWIPC, "ipc"},
    {CLONE_NEWUTS, "uts"},
};

/* The path of a name in an open directory, for calls that take only paths; no link can be in it. */
struct pin_path {
    char text[64];
};

static struct pin_path path_in(int directory, const char *name)
{
    struct pin_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d/%s", directory, name);
    return path;
}

static void take_back(int directory, uint32_t namespaces)
{
    int error = errno;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if ((namespaces & kinds[i].bit) != 0) {
            umount2(path_in(directory, kinds[i].name).text, MNT_DETACH | UMOUNT_NOFOLLOW);
            unlinkat(directory, kinds[i].name, 0);
        }
    }
    errno = error;
}

static int bind_one(int directory, const char *name, struct failure *failure)
{
    char source[32];
    snprintf(source, sizeof source, "/proc/self/ns/%s", name);
    if (mount(source, path_in(directory, name).text, NULL, MS_BIND, NULL) == -1) {
        return fail(failure, "mount", source);
    }
    return 0;
}

/* Only files that were not there before: what another pin has made must not be covered, nor taken back. */
static int bind_all(int directory, uint32_t namespaces, struct failure *failure)
{
    uint32_t made = 0;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if ((namespaces & kinds[i].bit) == 0) {
            continue;
        }
        int file = openat(directory, kinds[i].name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
        if (file == -1) {
            fail(failure, "open", kinds[i].name);
        } else {
            close(file);
            made |= kinds[i].bit;
        }
        if (file == -1 || bind_one(directory, kinds[i].name, failure) == -1) {
            take_back(directory, made);
            return -1;
        }
    }
    return 0;
}

static int make(uint32_t namespaces, const char *hostname, struct failure *failure)
{
    if (unshare((int)namespaces) == -1) {
        return fail(failure, "unshare", NULL);
    }
    if ((namespaces & CLONE_NEWNET) != 0 && netns_loopback_up(failure) == -1) {
        return -1;
    }
    if (hostname != NULL && sethostname(hostname, strlen(hostname)) == -1) {
        return fail(failure, "sethostname", hostname);
    }
    return 0;
}

int pin_work(const struct message *message, struct failure *failure)
{
    const char *target = message_text(message, TAG_TARGET);
    const char *hostname = message_text(message, TAG_HOSTNAME);
    uint32_t namespaces = message_u32(message, TAG_NAMESPACES, 0);
    if (namespaces == 0 || (namespaces & ~(uint32_t)(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)) != 0) {
        return fail_with(failure, EINVAL, "unshare", "NAMESPACES");
    }
    if (hostname != NULL && (namespaces & CLONE_NEWUTS) == 0) {
        return fail_with(failure, EINVAL, "sethostname", "HOSTNAME without CLONE_NEWUTS");
    }
    int directory = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory == -1) {
        return fail(failure, "open", target);
    }
    int result = make(namespaces, hostname, failure);
    if (result == 0) {
        result = bind_all(directory, namespaces, failure);
    }
    close_descriptor(&directory);
    return result;
}
