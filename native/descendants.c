#define _GNU_SOURCE
#include "descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

static bool is_child(const char *pid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (read_file(AT_FDCWD, path, text, sizeof text) <= 0) {
        return false;
    }
    /* The name may hold parentheses and spaces itself. */
    const char *behind_name = strrchr(text, ')');
    int parent;
    return behind_name != NULL && sscanf(behind_name + 1, " %*c %d", &parent) == 1 && parent == getpid();
}

static void kill_children(void)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        uint64_t pid;
        if (parse_number(entry->d_name, INT32_MAX, &pid) && is_child(entry->d_name)) {
            /* Our own child keeps its number until we reap it, so this hits nobody else. */
            kill((pid_t)pid, SIGKILL);
        }
    }
    closedir(processes);
}

void descendants_kill(void)
{
    for (;;) {
        kill_children();
        pid_t pid = waitpid(-1, NULL, __WALL);
        if (pid == -1 && errno == ECHILD) {
            return;
        }
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {
        }
    }
}
