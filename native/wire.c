#define _GNU_SOURCE
#include "wire.h"

#include <endian.h>
#include <string.h>

enum form { TEXT, U32, U64, BYTES, FIVE_U64, LIMIT };

/* How often a field may come. */
enum times { ONE, OPTIONAL, MANY, SOME };

struct rule {
    uint8_t tag;
    uint8_t form;
    uint8_t times;
};

struct kind_rules {
    uint16_t kind;
    uint8_t most_descriptors;
    uint8_t count;
    const struct rule *rules;
};

static const struct rule spawn_rules[] = {
    {TAG_ARGUMENT, TEXT, SOME},
    {TAG_ENVIRONMENT, TEXT, MANY},
    {TAG_DIRECTORY, TEXT, OPTIONAL},
    {TAG_TARGET_DESCRIPTOR, U32, MANY},
    {TAG_FLAGS, U32, OPTIONAL},
    {TAG_CGROUP, TEXT, MANY},
    {TAG_NAMESPACE, TEXT, MANY},
};

static const struct rule signal_rules[] = {
    {TAG_PID, U32, ONE},
    {TAG_SIGNAL, U32, ONE},
};

static const struct rule mount_rules[] = {
    {TAG_FLAGS, U32, ONE},
    {TAG_FILESYSTEM, TEXT, OPTIONAL},
    {TAG_SOURCE, TEXT, OPTIONAL},
    {TAG_TARGET, TEXT, ONE},
    {TAG_OPTION, TEXT, MANY},
    {TAG_ATTRIBUTES, U64, OPTIONAL},
    {TAG_DATA, TEXT, OPTIONAL},
    {TAG_DIRECTORY, TEXT, OPTIONAL},
    {TAG_PROPAGATION, U32, OPTIONAL},
    {TAG_ROOT, TEXT, OPTIONAL},
};

static const struct rule unmount_rules[] = {
    {TAG_TARGET, TEXT, ONE},
    {TAG_FLAGS, U32, OPTIONAL},
};

static const struct rule pin_rules[] = {
    {TAG_TARGET, TEXT, ONE},
    {TAG_NAMESPACES, U32, ONE},
    {TAG_HOSTNAME, TEXT, OPTIONAL},
};

static const struct rule open_rules[] = {
    {TAG_PATH, TEXT, OPTIONAL},
    {TAG_OPEN_FLAGS, U32, OPTIONAL},
    {TAG_MODE, U32, OPTIONAL},
    {TAG_ROOT, TEXT, OPTIONAL},
    {TAG_PID, U32, OPTIONAL},
    {TAG_NETWORK_NAMESPACE, TEXT, OPTIONAL},
};

static const struct rule socket_rules[] = {
    {TAG_DOMAIN, U32, ONE},
    {TAG_TYPE, U32, ONE},
    {TAG_PROTOCOL, U32, OPTIONAL},
    {TAG_NETWORK_NAMESPACE, TEXT, OPTIONAL},
};

static const struct rule forward_rules[] = {
    {TAG_NETWORK_NAMESPACE, TEXT, OPTIONAL},
    {TAG_ADDRESS, TEXT, MANY},
    {TAG_FORWARD, U64, OPTIONAL},
    {TAG_LEASE, U64, OPTIONAL},
};

static const struct rule keep_rules[] = {
    {TAG_LEASE, U64, ONE},
    {TAG_PATH, TEXT, OPTIONAL},
    {TAG_FLAGS, U32, OPTIONAL},
};

static const struct rule enter_rules[] = {
    {TAG_ARGUMENT, TEXT, SOME},
    {TAG_ENVIRONMENT, TEXT, MANY},
    {TAG_DIRECTORY, TEXT, OPTIONAL},
    {TAG_CGROUP, TEXT, MANY},
    {TAG_PID, U32, ONE},
    {TAG_UID, U32, OPTIONAL},
    {TAG_GID, U32, OPTIONAL},
    {TAG_GROUP, U32, MANY},
    {TAG_CAPABILITIES, FIVE_U64, OPTIONAL},
    {TAG_NO_NEW_PRIVILEGES, U32, OPTIONAL},
    {TAG_SECCOMP, BYTES, OPTIONAL},
    {TAG_RLIMIT, LIMIT, MANY},
    {TAG_OOM_SCORE, TEXT, OPTIONAL},
    {TAG_JOIN, U32, ONE},
    {TAG_UMASK, U32, OPTIONAL},
    {TAG_TERMINAL, U32, OPTIONAL},
};

#define RULES(kind, most_descriptors, rules) {kind, most_descriptors, LENGTH(rules), rules}

static const struct kind_rules requests[] = {
    RULES(KIND_SPAWN, WIRE_MOST_DESCRIPTORS, spawn_rules),
    RULES(KIND_SIGNAL, 0, signal_rules),
    RULES(KIND_MOUNT, 0, mount_rules),
    RULES(KIND_UNMOUNT, 0, unmount_rules),
    RULES(KIND_PIN, 0, pin_rules),
    RULES(KIND_OPEN, 0, open_rules),
    RULES(KIND_SOCKET, 0, socket_rules),
    RULES(KIND_FORWARD, 1, forward_rules),
    RULES(KIND_KEEP, 0, keep_rules),
    {KIND_SHUTDOWN, 0, 0, NULL},
    RULES(KIND_ENTER, 0, enter_rules),
};

static uint16_t load_u16(const char *bytes)
{
    uint16_t number;
    memcpy(&number, bytes, sizeof number);
    return le16toh(number);
}

static uint32_t load_u32(const char *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return le32toh(number);
}

static uint64_t load_u64(const char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return le64toh(number);
}

static const struct kind_rules *find_rules(uint16_t kind)
{
    for (size_t i = 0; i < LENGTH(requests); i++) {
        if (requests[i].kind == kind) {
            return &requests[i];
        }
    }
    return NULL;
}

static bool has_form(const struct field *field, enum form form)
{
    switch (form) {
    case TEXT:
        return memchr(field->data, '\0', field->length) == NULL;
    case U32:
        return field->length == 4;
    case U64:
        return field->length == 8;
    case FIVE_U64:
        return field->length == 40;
    case LIMIT:
        return field->length == 20;
    case BYTES:
        return true;
    }
    return false;
}

static bool follows_rules(const struct message *message, const struct kind_rules *rules)
{
    const struct rule *by_tag[TAG_COUNT] = {NULL};
    bool seen[TAG_COUNT] = {false};
    for (size_t i = 0; i < rules->count; i++) {
        by_tag[rules->rules[i].tag] = &rules->rules[i];
    }
    for (uint32_t i = 0; i < message->count; i++) {
        const struct field *field = &message->fields[i];
        const struct rule *rule = field->tag < TAG_COUNT ? by_tag[field->tag] : NULL;
        if (rule == NULL || !has_form(field, rule->form)) {
            return false;
        }
        if (seen[field->tag] && (rule->times == ONE || rule->times == OPTIONAL)) {
            return false;
        }
        seen[field->tag] = true;
    }
    for (size_t i = 0; i < rules->count; i++) {
        enum times times = rules->rules[i].times;
        if ((times == ONE || times == SOME) && !seen[rules->rules[i].tag]) {
            return false;
        }
    }
    return true;
}

/* Every field has a header of eight bytes before it, so moving its content one byte forward makes room for a NUL. */
static const char *terminate(char *content, uint32_t length)
{
    memmove(content - 1, content, length);
    content[(ptrdiff_t)length - 1] = '\0';
    return content - 1;
}

static bool read_fields(struct message *message, char *packet, size_t length, struct field *space)
{
    size_t position = WIRE_HEADER_BYTES;
    for (uint32_t i = 0; i < message->count; i++) {
        if (length - position < WIRE_FIELD_BYTES) {
            return false;
        }
        uint16_t tag = load_u16(packet + position);
        uint16_t zero = load_u16(packet + position + 2);
        uint32_t content = load_u32(packet + position + 4);
        position += WIRE_FIELD_BYTES;
        if (zero != 0 || content > length - position) {
            return false;
        }
        space[i] = (struct field){.data = terminate(packet + position, content), .length = content, .tag = tag};
        position += content;
    }
    message->fields = space;
    return position == length;
}

bool message_parse(
    struct message *message, char *packet, size_t length, struct field *space, size_t capacity, size_t descriptors)
{
    *message = (struct message){0};
    if (length < WIRE_HEADER_BYTES || load_u16(packet) != WIRE_VERSION) {
        return false;
    }
    message->kind = load_u16(packet + 2);
    message->count = load_u32(packet + 4);
    message->id = load_u64(packet + 8);
    const struct kind_rules *rules = find_rules(message->kind);
    if (rules == NULL || message->count > capacity || descriptors > rules->most_descriptors) {
        return false;
    }
    return read_fields(message, packet, length, space) && follows_rules(message, rules);
}

const struct field *message_next(const struct message *message, enum tag tag, const struct field *previous)
{
    const struct field *end = message->fields + message->count;
    for (const struct field *field = previous != NULL ? previous + 1 : message->fields; field < end; field++) {
        if (field->tag == tag) {
            return field;
        }
    }
    return NULL;
}

const struct field *message_field(const struct message *message, enum tag tag)
{
    return message_next(message, tag, NULL);
}

size_t message_count(const struct message *message, enum tag tag)
{
    size_t count = 0;
    for (uint32_t i = 0; i < message->count; i++) {
        count += message->fields[i].tag == tag;
    }
    return count;
}

const char *message_text(const struct message *message, enum tag tag)
{
    const struct field *field = message_field(message, tag);
    return field != NULL ? field->data : NULL;
}

uint32_t field_u32(const struct field *field)
{
    return load_u32(field->data);
}

uint32_t message_u32(const struct message *message, enum tag tag, uint32_t otherwise)
{
    const struct field *field = message_field(message, tag);
    return field != NULL ? load_u32(field->data) : otherwise;
}

uint64_t message_u64(const struct message *message, enum tag tag, uint64_t otherwise)
{
    const struct field *field = message_field(message, tag);
    return field != NULL ? load_u64(field->data) : otherwise;
}

static size_t store(char *packet, size_t position, const void *bytes, size_t length)
{
    if (length > 0) {
        memcpy(packet + position, bytes, length);
    }
    return position + length;
}

size_t message_pack(const struct message *message, uint64_t id, char *packet)
{
    uint16_t head[2] = {htole16(WIRE_VERSION), htole16(message->kind)};
    uint32_t count = htole32(message->count);
    id = htole64(id);
    size_t length = store(packet, 0, head, sizeof head);
    length = store(packet, length, &count, sizeof count);
    length = store(packet, length, &id, sizeof id);
    for (uint32_t i = 0; i < message->count; i++) {
        const struct field *field = &message->fields[i];
        uint16_t tag[2] = {htole16(field->tag), 0};
        uint32_t content = htole32(field->length);
        length = store(packet, length, tag, sizeof tag);
        length = store(packet, length, &content, sizeof content);
        length = store(packet, length, field->data, field->length);
    }
    return length;
}

static void append(struct answer *answer, const void *bytes, size_t length)
{
    if (length > sizeof answer->packet - answer->length) {
        give_up("an answer has outgrown its room");
    }
    memcpy(answer->packet + answer->length, bytes, length);
    answer->length += length;
}

static void append_u16(struct answer *answer, uint16_t number)
{
    number = htole16(number);
    append(answer, &number, sizeof number);
}

static void append_u32(struct answer *answer, uint32_t number)
{
    number = htole32(number);
    append(answer, &number, sizeof number);
}

static void append_u64(struct answer *answer, uint64_t number)
{
    number = htole64(number);
    append(answer, &number, sizeof number);
}

static void start_field(struct answer *answer, enum tag tag, size_t length)
{
    uint32_t count = htole32(load_u32(answer->packet + 4) + 1);
    memcpy(answer->packet + 4, &count, sizeof count);
    append_u16(answer, (uint16_t)tag);
    append_u16(answer, 0);
    append_u32(answer, (uint32_t)length);
}

void answer_start(struct answer *answer, enum kind kind, uint64_t id)
{
    answer->length = 0;
    append_u16(answer, WIRE_VERSION);
    append_u16(answer, (uint16_t)kind);
    append_u32(answer, 0);
    append_u64(answer, id);
}

void answer_text(struct answer *answer, enum tag tag, const char *text)
{
    size_t length = strlen(text);
    start_field(answer, tag, length);
    append(answer, text, length);
}

void answer_u32(struct answer *answer, enum tag tag, uint32_t number)
{
    start_field(answer, tag, sizeof number);
    append_u32(answer, number);
}

void answer_u64(struct answer *answer, enum tag tag, uint64_t number)
{
    start_field(answer, tag, sizeof number);
    append_u64(answer, number);
}

void answer_failure(struct answer *answer, uint64_t id, const struct failure *failure)
{
    answer_start(answer, KIND_ERROR, id);
    answer_u32(answer, TAG_ERRNO, (uint32_t)failure->error);
    if (failure->call[0] != '\0') {
        answer_text(answer, TAG_CALL, failure->call);
    }
    if (failure->subject[0] != '\0') {
        answer_text(answer, TAG_SUBJECT, failure->subject);
    }
    if (failure->message[0] != '\0') {
        answer_text(answer, TAG_MESSAGE, failure->message);
    }
}
