#define _GNU_SOURCE
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "rooted.h"

enum mount_flags {
    MOUNT_FILE_SYSTEM = 1,
    MOUNT_BIND = 2,
    MOUNT_RECURSIVE = 4,
    MOUNT_CLASSIC = 8,
    MOUNT_PROPAGATION = 16,
};

enum {
    /* mount(2) takes one page and drops what is behind it, without a word. */
    MOST_DATA = 4095,
    /* fsconfig(2) takes strings up to this. */
    MOST_OPTION_VALUE = 255,
};

/* A link as the last component would let whoever owns the directory choose what is covered. */
static int open_target(const char *path, struct failure *failure)
{
    int target = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (target == -1) {
        return fail(failure, "open", path);
    }
    if (fstat(target, &status) == 0 && S_ISLNK(status.st_mode)) {
        close(target);
        return fail_with(failure, ELOOP, "open", path);
    }
    return target;
}

static int attach(int tree, int target, const char *path, struct failure *failure)
{
    unsigned flags = KERNEL_MOVE_MOUNT_FROM_DESCRIPTOR | KERNEL_MOVE_MOUNT_TO_DESCRIPTOR;
    return syscall(CALL_MOVE_MOUNT, tree, "", target, "", flags) == -1 ? fail(failure, "move_mount", path) : 0;
}

static int set_attributes(
    int tree, uint64_t attributes, uint64_t propagation, bool recursive, const char *path, struct failure *failure)
{
    struct mount_attributes change = {.set = attributes, .propagation = propagation};
    if ((attributes & ATTRIBUTE_ACCESS_TIME) != 0) {
        change.clear = ATTRIBUTE_ACCESS_TIME;
    }
    unsigned flags = AT_EMPTY_PATH | (recursive ? KERNEL_AT_RECURSIVE : 0U);
    if (syscall(CALL_MOUNT_SETATTR, tree, "", flags, &change, sizeof change) == -1) {
        return fail(failure, "mount_setattr", path);
    }
    return 0;
}

/* The log of a mount context: lines that begin with e, w or i and a space. */
static void read_log(int context, struct failure *failure)
{
    size_t used = 0;
    size_t room = sizeof failure->message;
    for (;;) {
        char line[512];
        ssize_t length = read(context, line, sizeof line);
        if (length <= 0) {
            break;
        }
        size_t count = (size_t)length;
        if (used + count + 2 > room) {
            break;
        }
        memcpy(failure->message + used, line, count);
        used += count;
        if (failure->message[used - 1] != '\n') {
            failure->message[used++] = '\n';
        }
    }
    failure->message[used > 0 ? used - 1 : 0] = '\0';
}

static long configure(int context, unsigned command, const char *key, const char *value)
{
    return syscall(CALL_FSCONFIG, context, command, key, value, 0);
}

/* Newer kernels take a descriptor for an option that is a path, which lets the path be longer than a string may be. */
static long configure_long_path(int context, const char *key, const char *path)
{
    int file = open(path, O_PATH | O_CLOEXEC);
    if (file == -1) {
        return -1;
    }
    long result = syscall(CALL_FSCONFIG, context, FSCONFIG_DESCRIPTOR, key, NULL, file);
    close_descriptor(&file);
    return result;
}

static int set_option(int context, const char *option, struct failure *failure)
{
    long result;
    const char *equals = strchr(option, '=');
    if (equals == NULL) {
        result = configure(context, FSCONFIG_FLAG, option, NULL);
    } else {
        char *key = strndup(option, (size_t)(equals - option));
        if (key == NULL) {
            give_up("out of memory");
        }
        bool is_long = strlen(equals + 1) > MOST_OPTION_VALUE;
        result = is_long ? configure_long_path(context, key, equals + 1)
                         : configure(context, FSCONFIG_STRING, key, equals + 1);
        int error = errno;
        free(key);
        errno = error;
    }
    return result == -1 ? fail(failure, "fsconfig", option) : 0;
}

static int configure_all(int context, const struct message *message, struct failure *failure)
{
    const char *source = message_text(message, TAG_SOURCE);
    if (source != NULL && configure(context, FSCONFIG_STRING, "source", source) == -1) {
        return fail(failure, "fsconfig", "source");
    }
    for (const struct field *field = NULL; (field = message_next(message, TAG_OPTION, field)) != NULL;) {
        if (set_option(context, field->data, failure) == -1) {
            return -1;
        }
    }
    if (configure(context, FSCONFIG_CREATE_FILE_SYSTEM, NULL, NULL) == -1) {
        return fail(failure, "fsconfig", message_text(message, TAG_FILESYSTEM));
    }
    return 0;
}

/* A mount that is nowhere attached yet. */
static int make_file_system(const struct message *message, struct failure *failure)
{
    const char *type = message_text(message, TAG_FILESYSTEM);
    int context = (int)syscall(CALL_FSOPEN, type, 1 /* close on exec */);
    if (context == -1) {
        return fail(failure, "fsopen", type);
    }
    int tree = -1;
    if (configure_all(context, message, failure) == 0) {
        uint64_t attributes = message_u64(message, TAG_ATTRIBUTES, 0);
        tree = (int)syscall(CALL_FSMOUNT, context, 1 /* close on exec */, (unsigned)attributes);
        if (tree == -1) {
            fail(failure, "fsmount", type);
        }
    }
    if (tree == -1) {
        read_log(context, failure);
    }
    close_descriptor(&context);
    return tree;
}

static int clone_tree(int directory, const char *path, unsigned flags)
{
    return (int)syscall(CALL_OPEN_TREE, directory, path, KERNEL_OPEN_TREE_CLONE | O_CLOEXEC | flags);
}

static int make_bind(const struct message *message, bool recursive, struct failure *failure)
{
    const char *source = message_text(message, TAG_SOURCE);
    const char *root = message_text(message, TAG_ROOT);
    unsigned flags = recursive ? KERNEL_AT_RECURSIVE : 0U;
    int tree;
    if (root == NULL) {
        tree = clone_tree(AT_FDCWD, source, flags);
    } else {
        int file = open_rooted(root, source, (struct open_how_form){.flags = O_PATH}, failure);
        if (file == -1) {
            return -1;
        }
        tree = clone_tree(file, "", flags | AT_EMPTY_PATH);
        int error = errno;
        close_descriptor(&file);
        errno = error;
    }
    if (tree == -1) {
        return fail(failure, "open_tree", source);
    }
    uint64_t attributes = message_u64(message, TAG_ATTRIBUTES, 0);
    if (attributes != 0 && set_attributes(tree, attributes, 0, recursive, source, failure) == -1) {
        close_descriptor(&tree);
    }
    return tree;
}

static int mount_tree(const struct message *message, int target, uint32_t flags, struct failure *failure)
{
    const char *path = message_text(message, TAG_TARGET);
    bool recursive = (flags & MOUNT_RECURSIVE) != 0;
    int tree = (flags & MOUNT_BIND) != 0 ? make_bind(message, recursive, failure) : make_file_system(message, failure);
    if (tree == -1) {
        return -1;
    }
    int result = attach(tree, target, path, failure);
    uint32_t propagation = message_u32(message, TAG_PROPAGATION, 0);
    if (result == 0 && propagation != 0) {
        bool below = (propagation & MS_REC) != 0;
        result = set_attributes(tree, 0, propagation & ~(uint32_t)MS_REC, below, path, failure);
    }
    close_descriptor(&tree);
    return result;
}

static unsigned long classic_flags(uint64_t attributes)
{
    static const struct {
        uint64_t attribute;
        unsigned long flag;
    } table[] = {
        {ATTRIBUTE_READ_ONLY, MS_RDONLY},
        {ATTRIBUTE_NO_SUID, MS_NOSUID},
        {ATTRIBUTE_NO_DEVICES, MS_NODEV},
        {ATTRIBUTE_NO_EXECUTION, MS_NOEXEC},
        {ATTRIBUTE_NO_ACCESS_TIME, MS_NOATIME},
        {ATTRIBUTE_STRICT_ACCESS_TIME, MS_STRICTATIME},
        {ATTRIBUTE_NO_DIRECTORY_ACCESS_TIME, MS_NODIRATIME},
        {ATTRIBUTE_NO_SYMLINKS, 256 /* MS_NOSYMFOLLOW */},
    };
    unsigned long flags = 0;
    for (size_t i = 0; i < LENGTH(table); i++) {
        flags |= (attributes & table[i].attribute) != 0 ? table[i].flag : 0;
    }
    return flags;
}

static int mount_classic(const struct message *message, int target, struct failure *failure)
{
    const char *type = message_text(message, TAG_FILESYSTEM);
    const char *source = message_text(message, TAG_SOURCE);
    const char *data = message_text(message, TAG_DATA);
    if (data != NULL && strlen(data) > MOST_DATA) {
        return fail_with(failure, EINVAL, "mount", "DATA above 4095 bytes");
    }
    struct descriptor_path path = path_of_descriptor(target);
    unsigned long flags = classic_flags(message_u64(message, TAG_ATTRIBUTES, 0));
    if (mount(source != NULL ? source : type, path.text, type, flags, data) == -1) {
        return fail(failure, "mount", message_text(message, TAG_TARGET));
    }
    return 0;
}

static int change_propagation(const struct message *message, int target, struct failure *failure)
{
    struct descriptor_path path = path_of_descriptor(target);
    if (mount(NULL, path.text, NULL, message_u32(message, TAG_PROPAGATION, 0), NULL) == -1) {
        return fail(failure, "mount", message_text(message, TAG_TARGET));
    }
    return 0;
}

static bool is_propagation(uint32_t propagation)
{
    uint32_t type = propagation & ~(uint32_t)MS_REC;
    return type == MS_PRIVATE || type == MS_SLAVE || type == MS_SHARED || type == MS_UNBINDABLE;
}

static int check(const struct message *message, uint32_t flags, struct failure *failure)
{
    uint32_t what = flags & ~(uint32_t)MOUNT_RECURSIVE;
    const struct field *propagation = message_field(message, TAG_PROPAGATION);
    if (what != MOUNT_FILE_SYSTEM && what != MOUNT_BIND && what != MOUNT_CLASSIC && what != MOUNT_PROPAGATION) {
        return fail_with(failure, EINVAL, "mount", "FLAGS");
    }
    if ((flags & MOUNT_RECURSIVE) != 0 && what != MOUNT_BIND) {
        return fail_with(failure, EINVAL, "mount", "FLAGS");
    }
    if ((what == MOUNT_FILE_SYSTEM || what == MOUNT_CLASSIC) && message_field(message, TAG_FILESYSTEM) == NULL) {
        return fail_with(failure, EBADMSG, "message", "FILESYSTEM");
    }
    if (what == MOUNT_BIND && message_field(message, TAG_SOURCE) == NULL) {
        return fail_with(failure, EBADMSG, "message", "SOURCE");
    }
    if (what != MOUNT_BIND && message_field(message, TAG_ROOT) != NULL) {
        return fail_with(failure, EBADMSG, "message", "ROOT");
    }
    if (what == MOUNT_PROPAGATION && propagation == NULL) {
        return fail_with(failure, EBADMSG, "message", "PROPAGATION");
    }
    if (propagation != NULL && (what == MOUNT_CLASSIC || !is_propagation(field_u32(propagation)))) {
        return fail_with(failure, EINVAL, "mount", "PROPAGATION");
    }
    return 0;
}

static int mount_on(const struct message *message, int target, uint32_t flags, struct failure *failure)
{
    if ((flags & MOUNT_CLASSIC) != 0) {
        return mount_classic(message, target, failure);
    }
    if ((flags & MOUNT_PROPAGATION) != 0) {
        return change_propagation(message, target, failure);
    }
    return mount_tree(message, target, flags, failure);
}

int mount_serve(const struct message *message, struct failure *failure)
{
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    if (check(message, flags, failure) == -1) {
        return -1;
    }
    int target = open_target(message_text(message, TAG_TARGET), failure);
    if (target == -1) {
        return -1;
    }
    const char *directory = message_text(message, TAG_DIRECTORY);
    int result = directory != NULL && chdir(directory) == -1 ? fail(failure, "chdir", directory)
                                                             : mount_on(message, target, flags, failure);
    if (directory != NULL && chdir("/") == -1) {
        give_up("init cannot return to its directory");
    }
    close_descriptor(&target);
    return result;
}

int unmount_serve(const struct message *message, struct failure *failure)
{
    const char *target = message_text(message, TAG_TARGET);
    uint32_t flags = message_u32(message, TAG_FLAGS, 0);
    if (umount2(target, (int)flags | UMOUNT_NOFOLLOW) == -1) {
        return fail(failure, "umount2", target);
    }
    return 0;
}
