#define _GNU_SOURCE
#include "outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

struct parcel {
    struct parcel *next;
    size_t length;
    size_t count;
    int descriptors[OUTBOX_MOST_DESCRIPTORS];
    char packet[];
};

union rights {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * OUTBOX_MOST_DESCRIPTORS)];
};

void close_all(const int *descriptors, size_t count)
{
    int error = errno;
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
    errno = error;
}

void outbox_init(struct outbox *outbox)
{
    outbox->first = NULL;
    outbox->last = &outbox->first;
}

bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->first == NULL;
}

static bool send_now(int socket, const void *packet, size_t length, const int *descriptors, size_t count)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)packet, .iov_len = length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union rights rights;
    if (count > 0) {
        memset(&rights, 0, sizeof rights);
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(&rights.header), descriptors, sizeof(int) * count);
        message.msg_control = &rights;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent == -1 && errno == EINTR);
    return sent != -1;
}

static void enqueue(struct outbox *outbox, const void *packet, size_t length, const int *descriptors, size_t count)
{
    struct parcel *parcel = allocate(sizeof *parcel + length);
    parcel->length = length;
    parcel->count = count;
    if (count > 0) {
        memcpy(parcel->descriptors, descriptors, sizeof(int) * count);
    }
    memcpy(parcel->packet, packet, length);
    *outbox->last = parcel;
    outbox->last = &parcel->next;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM;
}

bool outbox_send(
    struct outbox *outbox, int socket, const void *packet, size_t length, const int *descriptors, size_t count)
{
    if (outbox->first == NULL) {
        if (send_now(socket, packet, length, descriptors, count)) {
            close_all(descriptors, count);
            return true;
        }
        if (!would_block()) {
            close_all(descriptors, count);
            return false;
        }
    }
    enqueue(outbox, packet, length, descriptors, count);
    return true;
}

static void drop_first(struct outbox *outbox)
{
    struct parcel *parcel = outbox->first;
    outbox->first = parcel->next;
    if (outbox->first == NULL) {
        outbox->last = &outbox->first;
    }
    close_all(parcel->descriptors, parcel->count);
    free(parcel);
}

bool outbox_flush(struct outbox *outbox, int socket)
{
    while (outbox->first != NULL) {
        const struct parcel *parcel = outbox->first;
        if (!send_now(socket, parcel->packet, parcel->length, parcel->descriptors, parcel->count)) {
            if (errno == ETOOMANYREFS && parcel->count > 0) {
                /* Better an answer without its descriptor than a connection that hangs. */
                close_all(parcel->descriptors, parcel->count);
                outbox->first->count = 0;
                continue;
            }
            return would_block();
        }
        drop_first(outbox);
    }
    return true;
}

void outbox_clear(struct outbox *outbox)
{
    while (outbox->first != NULL) {
        drop_first(outbox);
    }
}

static bool take_descriptors(struct msghdr *message, struct delivery *delivery)
{
    bool fits = true;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
            if (delivery->count < LENGTH(delivery->descriptors)) {
                delivery->descriptors[delivery->count++] = descriptor;
            } else {
                close(descriptor);
                fits = false;
            }
        }
    }
    return fits;
}

enum received packet_receive(int socket, struct delivery *delivery, int flags)
{
    struct iovec part = {.iov_base = delivery->packet, .iov_len = delivery->room};
    union rights rights;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights.space};
    ssize_t length;
    do {
        length = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    } while (length == -1 && errno == EINTR);
    delivery->count = 0;
    delivery->length = 0;
    if (length == -1) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? RECEIVED_NOTHING : RECEIVED_END;
    }
    bool fits = take_descriptors(&message, delivery);
    delivery->length = (size_t)length;
    if (!fits || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        return RECEIVED_UNREADABLE;
    }
    return length == 0 ? RECEIVED_END : RECEIVED_PACKET;
}
