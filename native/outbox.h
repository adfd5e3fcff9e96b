/* Packets on their way to a SOCK_SEQPACKET socket whose reader may be slow. */
#ifndef PODS_OUTBOX_H
#define PODS_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

struct parcel;

struct outbox {
    struct parcel *first;
    struct parcel **last;
};

/* The most descriptors of a parcel: a message's, and one of our own that goes with it to the stem. */
enum { OUTBOX_MOST_DESCRIPTORS = 17 };

void outbox_init(struct outbox *outbox);
bool outbox_is_empty(const struct outbox *outbox);

/* Sends a packet or queues it. The descriptors are ours from here on. False with errno if the socket is broken, or if it
 * will not take these descriptors (ETOOMANYREFS). */
bool outbox_send(
    struct outbox *outbox, int socket, const void *packet, size_t length, const int *descriptors, size_t count);

/* Sends what is queued until the socket is full; false with errno if it is broken. */
bool outbox_flush(struct outbox *outbox, int socket);

/* Throws away what is queued. */
void outbox_clear(struct outbox *outbox);

/* Receive a packet and its descriptors. */
enum received { RECEIVED_PACKET, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_UNREADABLE };

struct delivery {
    char *packet;
    size_t room;
    size_t length;
    int descriptors[OUTBOX_MOST_DESCRIPTORS];
    size_t count;
};

/* RECEIVED_UNREADABLE: it was longer than the room, or had too many descriptors. Its beginning is there, and so are the
 * descriptors that came through. RECEIVED_END is also said of an empty packet: the two look the same. */
enum received packet_receive(int socket, struct delivery *delivery, int flags);

void close_all(const int *descriptors, size_t count);

#endif
