#define _GNU_SOURCE
#include "cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

enum { MOST_DEPTH = 64, MOST_TRIES = 300, LONGEST_PAUSE_MS = 10 };

/* Called for a directory before what is below it. */
typedef void visit(int directory);

static int open_directory(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_below(const struct dirent *entry)
{
    return entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* A second descriptor for readdir, which takes the one that it gets. */
static DIR *list(int directory)
{
    int copy = open_directory(directory, ".");
    DIR *entries = copy != -1 ? fdopendir(copy) : NULL;
    if (entries == NULL) {
        close_descriptor(&copy);
    }
    return entries;
}

static void walk(int parent, const char *name, visit *each, int depth)
{
    int directory = open_directory(parent, name);
    if (directory == -1) {
        return;
    }
    each(directory);
    DIR *entries = depth < MOST_DEPTH ? list(directory) : NULL;
    if (entries != NULL) {
        for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
            if (is_below(entry)) {
                walk(directory, entry->d_name, each, depth + 1);
            }
        }
        closedir(entries);
    }
    close(directory);
}

static void walk_all(char *const *directories, size_t count, visit *each)
{
    for (size_t i = 0; i < count; i++) {
        walk(AT_FDCWD, directories[i], each, 0);
    }
}

static void thaw(int directory)
{
    write_file(directory, "freezer.state", "THAWED");
}

static void kill_listed(int directory)
{
    int list_file = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *processes = list_file != -1 ? fdopen(list_file, "r") : NULL;
    if (processes == NULL) {
        close_descriptor(&list_file);
        return;
    }
    char line[32];
    while (fgets(line, sizeof line, processes) != NULL) {
        uint64_t pid;
        line[strcspn(line, "\n")] = '\0';
        /* 0 is a process that our PID namespace cannot see, and to kill(2) our own process group. */
        if (parse_number(line, INT32_MAX, &pid) && pid > 1 && (pid_t)pid != getpid()) {
            kill((pid_t)pid, SIGKILL);
        }
    }
    fclose(processes);
}

static void kill_all(int directory)
{
    if (write_file(directory, "cgroup.kill", "1") == -1) {
        kill_listed(directory);
    }
}

void cgroups_thaw(char *const *directories, size_t count)
{
    walk_all(directories, count, thaw);
}

void cgroups_kill(char *const *directories, size_t count)
{
    walk_all(directories, count, kill_all);
}

static bool remove_one(int parent, const char *name, int depth)
{
    int directory = open_directory(parent, name);
    if (directory == -1) {
        return errno == ENOENT;
    }
    DIR *entries = depth < MOST_DEPTH ? list(directory) : NULL;
    if (entries != NULL) {
        for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
            if (is_below(entry)) {
                remove_one(directory, entry->d_name, depth + 1);
            }
        }
        closedir(entries);
    }
    close(directory);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static bool remove_all(char *const *directories, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        if (!remove_one(AT_FDCWD, directories[i], 0)) {
            all = false;
        }
    }
    return all;
}

static void pause_ms(long time)
{
    struct timespec pause = {.tv_nsec = time * 1000000};
    nanosleep(&pause, NULL);
}

/* A killed process leaves its cgroup when it is gone for good, some time after its parent heard of it; nothing tells us
 * when, in every hierarchy, so the directories are tried again. */
void cgroups_remove(char *const *directories, size_t count)
{
    for (int tries = 0; tries < MOST_TRIES && !remove_all(directories, count); tries++) {
        pause_ms(tries < LONGEST_PAUSE_MS ? 1 : LONGEST_PAUSE_MS);
        cgroups_thaw(directories, count);
        cgroups_kill(directories, count);
    }
}
