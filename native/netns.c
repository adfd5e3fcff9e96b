#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int own = -1;

int netns_remember_own(void)
{
    own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return own == -1 ? -1 : 0;
}

int netns_open(const char *path, int *netns, struct failure *failure)
{
    *netns = -1;
    if (path == NULL) {
        return 0;
    }
    *netns = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return *netns == -1 ? fail(failure, "open", path) : 0;
}

int netns_enter(int netns)
{
    return netns == -1 ? 0 : setns(netns, CLONE_NEWNET);
}

void netns_return(int netns)
{
    if (netns != -1) {
        int error = errno;
        if (setns(own, CLONE_NEWNET) == -1) {
            give_up("init cannot return to its network namespace");
        }
        errno = error;
    }
}

int netns_socket(int netns, int domain, int type, int protocol)
{
    if (netns_enter(netns) == -1) {
        return -1;
    }
    int made = socket(domain, type | SOCK_CLOEXEC, protocol);
    netns_return(netns);
    return made;
}

int netns_loopback_up(struct failure *failure)
{
    struct ifreq request = {.ifr_name = "lo"};
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made == -1) {
        return fail(failure, "socket", "AF_INET");
    }
    request.ifr_flags = IFF_UP;
    int result = ioctl(made, SIOCSIFFLAGS, &request) == -1 ? fail(failure, "ioctl SIOCSIFFLAGS", "lo") : 0;
    close_descriptor(&made);
    return result;
}
