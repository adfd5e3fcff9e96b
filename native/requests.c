#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "forward.h"
#include "kernel.h"
#include "mounts.h"
#include "netns.h"
#include "pins.h"
#include "rooted.h"
#include "session.h"
#include "task.h"

static int serve_signal(const struct message *message, struct failure *failure)
{
    uint32_t pid = message_u32(message, TAG_PID, 0);
    uint32_t number = message_u32(message, TAG_SIGNAL, 0);
    if (pid <= 1 || pid > INT_MAX || (pid_t)pid == getpid() || number > INT_MAX) {
        return fail_with(failure, EINVAL, "kill", "PID");
    }
    return kill((pid_t)pid, (int)number) == -1 ? fail(failure, "kill", NULL) : 0;
}

static int open_process(const struct message *message, struct failure *failure)
{
    uint32_t pid = message_u32(message, TAG_PID, 0);
    if (pid == 0 || pid > INT_MAX) {
        return fail_with(failure, EINVAL, "pidfd_open", "PID");
    }
    int pidfd = pidfd_open_process((pid_t)pid);
    return pidfd == -1 ? fail(failure, "pidfd_open", NULL) : pidfd;
}

static int open_path(const struct message *message, struct failure *failure)
{
    struct open_how_form how = {
        .flags = message_u32(message, TAG_OPEN_FLAGS, 0), .mode = message_u32(message, TAG_MODE, 0)};
    const char *path = message_text(message, TAG_NETWORK_NAMESPACE);
    int netns;
    int file = -1;
    if (netns_open(path, &netns, failure) == -1) {
        return -1;
    }
    if (netns_enter(netns) == -1) {
        fail(failure, "setns", path);
    } else {
        file = open_rooted(message_text(message, TAG_ROOT), message_text(message, TAG_PATH), how, failure);
        netns_return(netns);
    }
    close_descriptor(&netns);
    return file;
}

static int serve_open(const struct message *message, struct failure *failure)
{
    bool has_path = message_field(message, TAG_PATH) != NULL;
    bool has_flags = message_field(message, TAG_OPEN_FLAGS) != NULL;
    if (message_field(message, TAG_PID) != NULL && message->count == 1) {
        return open_process(message, failure);
    }
    if (message_field(message, TAG_PID) != NULL || !has_path || !has_flags) {
        return fail_with(failure, EBADMSG, "message", "PATH and OPEN_FLAGS, or PID");
    }
    return open_path(message, failure);
}

static int serve_socket(const struct message *message, struct failure *failure)
{
    int netns;
    const char *path = message_text(message, TAG_NETWORK_NAMESPACE);
    if (netns_open(path, &netns, failure) == -1) {
        return -1;
    }
    int domain = (int)message_u32(message, TAG_DOMAIN, 0);
    int type = (int)message_u32(message, TAG_TYPE, 0);
    int made = netns_socket(netns, domain, type, (int)message_u32(message, TAG_PROTOCOL, 0));
    if (made == -1) {
        fail(failure, "socket", path);
    }
    close_descriptor(&netns);
    return made;
}

static void finish(struct client *client, uint64_t id, int result, const struct failure *failure)
{
    if (result == -1) {
        client_error(client, id, failure);
    } else {
        client_ok(client, id);
    }
}

static void finish_descriptor(struct client *client, uint64_t id, int result, const struct failure *failure)
{
    if (result == -1) {
        client_error(client, id, failure);
    } else {
        client_ok_descriptor(client, id, result);
    }
}

void request_serve(struct client *client, const struct message *message, int *descriptors, size_t count)
{
    struct failure failure = {0};
    uint64_t id = message->id;
    switch ((enum kind)message->kind) {
    case KIND_SPAWN:
        task_spawn(client, message, descriptors, count);
        return;
    case KIND_SIGNAL:
        finish(client, id, serve_signal(message, &failure), &failure);
        return;
    case KIND_MOUNT:
        finish(client, id, mount_serve(message, &failure), &failure);
        return;
    case KIND_UNMOUNT:
        finish(client, id, unmount_serve(message, &failure), &failure);
        return;
    case KIND_PIN:
        task_work(client, message, pin_work);
        return;
    case KIND_OPEN:
        finish_descriptor(client, id, serve_open(message, &failure), &failure);
        return;
    case KIND_SOCKET:
        finish_descriptor(client, id, serve_socket(message, &failure), &failure);
        return;
    case KIND_FORWARD:
        forward_serve(client, message, descriptors, count);
        return;
    case KIND_KEEP:
        finish(client, id, session_keep(client, message, &failure), &failure);
        return;
    case KIND_SHUTDOWN:
        client_ok(client, id);
        session_shut_down(client);
        return;
    case KIND_ENTER:
    case KIND_OK:
    case KIND_ERROR:
    case KIND_EXITED:
    case KIND_READY:
        break;
    }
    give_up("a message that is no request has passed the check");
}
