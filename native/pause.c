#define _GNU_SOURCE
#include "pause.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

int pause_main(void)
{
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGCHLD);
    /* PID 1 does not get signals that it neither handles nor blocks. */
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    for (;;) {
        int number = sigwaitinfo(&awaited, NULL);
        if (number == SIGTERM || number == SIGINT) {
            return 0;
        }
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {
        }
    }
}
