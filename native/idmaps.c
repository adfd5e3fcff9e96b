#define _GNU_SOURCE
#include "idmaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"

/* A program that is writing a map, and what it says. */
struct writer {
    pid_t pid;
    int output;
};

static char *copy_line(const char *line)
{
    char *copy = strdup(line);
    if (copy == NULL) {
        give_up("out of memory");
    }
    return copy;
}

bool idmaps_check(const struct id_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        char *copy = copy_line(map->lines[i]);
        char *rest = copy;
        int parts = 0;
        for (const char *part; (part = strsep(&rest, ":")) != NULL; parts++) {
            uint64_t number;
            if (!parse_number(part, UINT32_MAX, &number)) {
                parts = -4;
            }
        }
        free(copy);
        if (parts != 3) {
            return false;
        }
    }
    return map->count > 0;
}

_Noreturn static void execute(pid_t pid, const struct id_map *map, int output)
{
    char number[16];
    char **arguments = allocate_array(map->count * 3 + 3, sizeof *arguments);
    size_t used = 0;
    snprintf(number, sizeof number, "%d", pid);
    arguments[used++] = (char *)(uintptr_t)map->program;
    arguments[used++] = number;
    for (size_t i = 0; i < map->count; i++) {
        char *rest = copy_line(map->lines[i]);
        for (char *part; (part = strsep(&rest, ":")) != NULL;) {
            arguments[used++] = part;
        }
    }
    char *environment[] = {NULL};
    dup2(output, STDERR_FILENO);
    dup2(output, STDOUT_FILENO);
    reset_signals();
    execve(map->program, arguments, environment);
    dprintf(STDERR_FILENO, "%s", strerror(errno));
    _exit(127);
}

static int start(struct writer *writer, pid_t pid, const struct id_map *map, struct failure *failure)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1) {
        return fail(failure, "pipe2", map->program);
    }
    writer->pid = clone_process(0, NULL);
    if (writer->pid == 0) {
        execute(pid, map, ends[1]);
    }
    if (writer->pid == -1) {
        fail(failure, "clone", map->program);
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    close(ends[1]);
    writer->output = ends[0];
    return 0;
}

static int finish(struct writer *writer, const struct id_map *map, struct failure *failure)
{
    char text[sizeof failure->message];
    size_t used = 0;
    ssize_t length;
    while ((length = read(writer->output, text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)length;
    }
    text[used] = '\0';
    close(writer->output);
    int status = 0;
    if (waitpid(writer->pid, &status, 0) == -1 || status != 0) {
        fail_with(failure, EPERM, "map", map->program);
        copy_text(failure->message, sizeof failure->message, text);
        return -1;
    }
    return 0;
}

static int write_itself(pid_t pid, const char *name, const struct id_map *map, struct failure *failure)
{
    char path[48];
    char text[4096];
    size_t used = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    for (size_t i = 0; i < map->count; i++) {
        int length = snprintf(text + used, sizeof text - used, "%s\n", map->lines[i]);
        if (length < 0 || (size_t)length >= sizeof text - used) {
            return fail_with(failure, EINVAL, "write", path);
        }
        used += (size_t)length;
    }
    for (char *colon = text; (colon = strchr(colon, ':')) != NULL;) {
        *colon = ' ';
    }
    return write_file(AT_FDCWD, path, text) == -1 ? fail(failure, "write", path) : 0;
}

/* Without privileges the kernel takes a map of groups only if setgroups is denied for good. */
static int deny_groups(pid_t pid, struct failure *failure)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
    return write_file(AT_FDCWD, path, "deny") == -1 ? fail(failure, "write", path) : 0;
}

static int write_both(pid_t pid, const struct id_map *uids, const struct id_map *gids, struct failure *failure)
{
    if ((geteuid() != 0 || gids->count == 1) && deny_groups(pid, failure) == -1) {
        return -1;
    }
    int result = write_itself(pid, "uid_map", uids, failure);
    return result == -1 ? -1 : write_itself(pid, "gid_map", gids, failure);
}

int idmaps_write(pid_t pid, const struct id_map *uids, const struct id_map *gids, struct failure *failure)
{
    if (uids->program == NULL || gids->program == NULL) {
        return write_both(pid, uids, gids, failure);
    }
    struct writer writers[2];
    if (start(&writers[0], pid, uids, failure) == -1) {
        return -1;
    }
    bool both = start(&writers[1], pid, gids, failure) == 0;
    int result = finish(&writers[0], uids, failure);
    if (!both) {
        return -1;
    }
    struct failure second;
    if (finish(&writers[1], gids, &second) == -1 && result == 0) {
        *failure = second;
        result = -1;
    }
    return result;
}
