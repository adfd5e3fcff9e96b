/* The wire form of native/README.md: parsing a packet into a message, checking it, writing answers. */
#ifndef PODS_WIRE_H
#define PODS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

enum {
    WIRE_VERSION = 1,
    WIRE_MOST_BYTES = 131072,
    WIRE_MOST_DESCRIPTORS = 16,
    WIRE_HEADER_BYTES = 16,
    WIRE_FIELD_BYTES = 8,
    WIRE_MOST_FIELDS = (WIRE_MOST_BYTES - WIRE_HEADER_BYTES) / WIRE_FIELD_BYTES,
};

enum kind {
    KIND_SPAWN = 1,
    KIND_SIGNAL = 2,
    KIND_MOUNT = 3,
    KIND_UNMOUNT = 4,
    KIND_PIN = 5,
    KIND_OPEN = 6,
    KIND_SOCKET = 7,
    KIND_FORWARD = 8,
    KIND_KEEP = 9,
    KIND_SHUTDOWN = 10,
    KIND_ENTER = 32,
    KIND_OK = 256,
    KIND_ERROR = 257,
    KIND_EXITED = 258,
    KIND_READY = 259,
};

enum tag {
    TAG_ARGUMENT = 1,
    TAG_ENVIRONMENT = 2,
    TAG_DIRECTORY = 3,
    TAG_TARGET_DESCRIPTOR = 4,
    TAG_FLAGS = 5,
    TAG_CGROUP = 6,
    TAG_NAMESPACE = 7,
    TAG_PID = 8,
    TAG_SIGNAL = 9,
    TAG_STATUS = 10,
    TAG_FILESYSTEM = 11,
    TAG_SOURCE = 12,
    TAG_TARGET = 13,
    TAG_OPTION = 14,
    TAG_ATTRIBUTES = 15,
    TAG_NAMESPACES = 16,
    TAG_HOSTNAME = 17,
    TAG_PATH = 18,
    TAG_ROOT = 19,
    TAG_OPEN_FLAGS = 20,
    TAG_MODE = 21,
    TAG_DOMAIN = 22,
    TAG_TYPE = 23,
    TAG_PROTOCOL = 24,
    TAG_NETWORK_NAMESPACE = 25,
    TAG_ADDRESS = 26,
    TAG_FORWARD = 27,
    TAG_LEASE = 28,
    TAG_ERRNO = 29,
    TAG_CALL = 30,
    TAG_SUBJECT = 31,
    TAG_MESSAGE = 32,
    TAG_DATA = 33,
    TAG_PROPAGATION = 34,
    TAG_UID = 40,
    TAG_GID = 41,
    TAG_GROUP = 42,
    TAG_CAPABILITIES = 43,
    TAG_NO_NEW_PRIVILEGES = 44,
    TAG_SECCOMP = 45,
    TAG_RLIMIT = 46,
    TAG_OOM_SCORE = 47,
    TAG_JOIN = 48,
    TAG_UMASK = 49,
    TAG_TERMINAL = 50,
    TAG_COUNT = 64,
};

/* `data` is followed by a NUL that is not counted. */
struct field {
    const char *data;
    uint32_t length;
    uint16_t tag;
};

struct message {
    uint64_t id;
    const struct field *fields;
    uint32_t count;
    uint16_t kind;
};

/* Reads `packet`, which it changes: a NUL is put behind every field's content. `space` takes the fields.
 * False if it is malformed or does not follow its kind's rules; `message->id` is then the id to answer, 0 if the header
 * could not be read. Kinds that are no requests have no rules and are malformed. */
bool message_parse(
    struct message *message, char *packet, size_t length, struct field *space, size_t capacity, size_t descriptors);

/* The content of the only field with this tag, NULL if there is none. */
const char *message_text(const struct message *message, enum tag tag);
const struct field *message_field(const struct message *message, enum tag tag);

/* The number in the only field with this tag, `otherwise` if there is none. */
uint32_t message_u32(const struct message *message, enum tag tag, uint32_t otherwise);
uint64_t message_u64(const struct message *message, enum tag tag, uint64_t otherwise);

/* The next field with this tag after `previous` (NULL: the first), NULL at the end. */
const struct field *message_next(const struct message *message, enum tag tag, const struct field *previous);
size_t message_count(const struct message *message, enum tag tag);

uint32_t field_u32(const struct field *field);

/* Writes a parsed message again, under another id, into `packet`, which has room for WIRE_MOST_BYTES; the length. */
size_t message_pack(const struct message *message, uint64_t id, char *packet);

/* An answer that is being written. Every answer is far smaller than the room for it. */
struct answer {
    char packet[4096];
    size_t length;
};

void answer_start(struct answer *answer, enum kind kind, uint64_t id);
void answer_text(struct answer *answer, enum tag tag, const char *text);
void answer_u32(struct answer *answer, enum tag tag, uint32_t number);
void answer_u64(struct answer *answer, enum tag tag, uint64_t number);
void answer_failure(struct answer *answer, uint64_t id, const struct failure *failure);

#endif
