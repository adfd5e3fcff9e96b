#define _GNU_SOURCE
#include "identity.h"

#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "kernel.h"

/* Sets of capabilities, in the order of the message. */
enum { BOUNDING, EFFECTIVE, INHERITABLE, PERMITTED, AMBIENT, SETS };

enum { KEYRING_JOIN_SESSION = 1 };

static uint64_t load_u64(const char *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return le64toh(number);
}

static int set_limits(const struct message *orders, struct failure *failure)
{
    for (const struct field *field = NULL; (field = message_next(orders, TAG_RLIMIT, field)) != NULL;) {
        struct rlimit limit = {.rlim_cur = load_u64(field->data + 4), .rlim_max = load_u64(field->data + 12)};
        if (prlimit(0, field_u32(field), &limit, NULL) == -1) {
            return fail(failure, "setrlimit", NULL);
        }
    }
    return 0;
}

/* An unprivileged command may open /dev/stderr only if what is behind it is its own. A regular file is not touched: it
 * belongs to whoever passed it. */
static void own_standard(const struct message *orders)
{
    const struct field *uid = message_field(orders, TAG_UID);
    for (int standard = STDIN_FILENO; uid != NULL && standard <= STDERR_FILENO; standard++) {
        struct stat status;
        if (fstat(standard, &status) == 0 && (S_ISFIFO(status.st_mode) || isatty(standard))) {
            if (fchown(standard, field_u32(uid), (gid_t)-1) == -1) {
                continue;
            }
        }
    }
}

int identity_prepare(const struct message *orders, struct failure *failure)
{
    setsid();
    if (message_u32(orders, TAG_TERMINAL, 0) != 0 && ioctl(STDIN_FILENO, TIOCSCTTY, 0) == -1) {
        return fail(failure, "ioctl TIOCSCTTY", NULL);
    }
    /* The session's keyring may hold its user's secrets. */
    syscall(SYS_keyctl, KEYRING_JOIN_SESSION, NULL);
    umask(message_u32(orders, TAG_UMASK, 022) & 0777);
    own_standard(orders);
    return set_limits(orders, failure);
}

static int set_groups(const struct message *orders, struct failure *failure)
{
    size_t count = message_count(orders, TAG_GROUP);
    gid_t *groups = allocate_array(count, sizeof *groups);
    const struct field *field = NULL;
    for (size_t i = 0; i < count; i++) {
        field = message_next(orders, TAG_GROUP, field);
        groups[i] = field_u32(field);
    }
    if (setgroups(count, groups) == 0) {
        return 0;
    }
    /* A user namespace with a single id allows no change of groups at all. */
    return count == 0 && errno == EPERM ? 0 : fail(failure, "setgroups", NULL);
}

/* To the kernel this number means "leave it as it is", which would be root. */
static bool is_no_id(const struct field *id)
{
    return id != NULL && field_u32(id) == UINT32_MAX;
}

static int set_ids(const struct message *orders, struct failure *failure)
{
    const struct field *uid = message_field(orders, TAG_UID);
    const struct field *gid = message_field(orders, TAG_GID);
    if (is_no_id(uid) || is_no_id(gid)) {
        return fail_with(failure, EINVAL, is_no_id(uid) ? "setresuid" : "setresgid", NULL);
    }
    if ((uid != NULL || gid != NULL) && set_groups(orders, failure) == -1) {
        return -1;
    }
    if (gid != NULL && setresgid(field_u32(gid), field_u32(gid), field_u32(gid)) == -1) {
        return fail(failure, "setresgid", NULL);
    }
    if (uid != NULL && setresuid(field_u32(uid), field_u32(uid), field_u32(uid)) == -1) {
        return fail(failure, "setresuid", NULL);
    }
    return 0;
}

static uint64_t permitted_now(void)
{
    struct capability_header header = {.version = CAPABILITY_VERSION};
    struct capability_half halves[2] = {{0}};
    if (syscall(SYS_capget, &header, halves) == -1) {
        return 0;
    }
    return halves[0].permitted | (uint64_t)halves[1].permitted << 32;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable, struct failure *failure)
{
    struct capability_header header = {.version = CAPABILITY_VERSION};
    struct capability_half halves[2];
    for (unsigned half = 0; half < 2; half++) {
        halves[half] = (struct capability_half){
            .effective = (uint32_t)(effective >> (32 * half)),
            .permitted = (uint32_t)(permitted >> (32 * half)),
            .inheritable = (uint32_t)(inheritable >> (32 * half)),
        };
    }
    return syscall(SYS_capset, &header, halves) == -1 ? fail(failure, "capset", NULL) : 0;
}

static int limit_bounding(uint64_t bounding, struct failure *failure)
{
    for (unsigned long capability = 0; capability < 64; capability++) {
        int there = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (there == -1) {
            break;
        }
        bool wanted = (bounding >> capability & 1) != 0;
        if (there == 1 && !wanted && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1) {
            return fail(failure, "prctl PR_CAPBSET_DROP", NULL);
        }
    }
    return 0;
}

static int raise_ambient(uint64_t ambient, struct failure *failure)
{
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long capability = 0; capability < 64; capability++) {
        bool wanted = (ambient >> capability & 1) != 0;
        if (wanted && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == -1) {
            return fail(failure, "prctl PR_CAP_AMBIENT", NULL);
        }
    }
    return 0;
}

/* What the session itself does not have cannot be given, and the container's first process did not get it either. */
static int reduce_capabilities(const uint64_t *wanted, struct failure *failure)
{
    uint64_t permitted = permitted_now();
    uint64_t inheritable = wanted[INHERITABLE] & permitted & wanted[BOUNDING];
    uint64_t kept = wanted[PERMITTED] & permitted;
    if (set_capabilities(wanted[EFFECTIVE] & kept, kept, inheritable, failure) == -1) {
        return -1;
    }
    return raise_ambient(wanted[AMBIENT] & kept & inheritable, failure);
}

static int install_filter(const struct message *orders, struct failure *failure)
{
    const struct field *field = message_field(orders, TAG_SECCOMP);
    size_t count = field->length / SECCOMP_INSTRUCTION_BYTES;
    if (field->length % SECCOMP_INSTRUCTION_BYTES != 0 || count == 0 || count > UINT16_MAX) {
        return fail_with(failure, EINVAL, "seccomp", NULL);
    }
    struct seccomp_program program = {.length = (unsigned short)count, .instructions = field->data};
    if (syscall(SYS_seccomp, SECCOMP_INSTALL_FILTER, 0, &program) == -1) {
        return fail(failure, "seccomp", NULL);
    }
    return 0;
}

static bool filter_needs_privileges(const struct message *orders)
{
    return message_field(orders, TAG_SECCOMP) != NULL && message_u32(orders, TAG_NO_NEW_PRIVILEGES, 0) == 0;
}

/* With ids other than 0 the capabilities are still permitted here, but not effective. */
static int install_privileged_filter(const struct message *orders, struct failure *failure)
{
    uint64_t permitted = permitted_now();
    if (set_capabilities(permitted, permitted, 0, failure) == -1) {
        return -1;
    }
    return install_filter(orders, failure);
}

int identity_assume(const struct message *orders, struct failure *failure)
{
    const struct field *field = message_field(orders, TAG_CAPABILITIES);
    uint64_t wanted[SETS] = {0};
    for (size_t i = 0; field != NULL && i < SETS; i++) {
        wanted[i] = load_u64(field->data + i * sizeof wanted[0]);
    }
    if (field != NULL && limit_bounding(wanted[BOUNDING], failure) == -1) {
        return -1;
    }
    bool keep = field != NULL || filter_needs_privileges(orders);
    if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1) {
        return fail(failure, "prctl PR_SET_KEEPCAPS", NULL);
    }
    if (set_ids(orders, failure) == -1) {
        return -1;
    }
    if (filter_needs_privileges(orders) && install_privileged_filter(orders, failure) == -1) {
        return -1;
    }
    if (field != NULL && reduce_capabilities(wanted, failure) == -1) {
        return -1;
    }
    if (message_u32(orders, TAG_NO_NEW_PRIVILEGES, 0) != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
        return fail(failure, "prctl PR_SET_NO_NEW_PRIVS", NULL);
    }
    return 0;
}

int identity_confine(const struct message *orders, struct failure *failure)
{
    if (message_field(orders, TAG_SECCOMP) == NULL || filter_needs_privileges(orders)) {
        return 0;
    }
    return install_filter(orders, failure);
}
