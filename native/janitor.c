#define _GNU_SOURCE
#include "janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups.h"
#include "descendants.h"
#include "idmaps.h"
#include "init.h"
#include "kernel.h"
#include "remove.h"
#include "session.h"
#include "spawn.h"
#include "util.h"
#include "wire.h"

enum { MOST_LINES = 64, MOST_DIRECTORIES = 64, FROZEN_RETRY_MS = 10 };

struct options {
    int control;
    int lock;
    int owner;
    int level;
    bool user;
    bool proc;
    struct id_map uids;
    struct id_map gids;
    char **directories;
    size_t directory_count;
    char **cgroups;
    size_t cgroup_count;
};

/* A directory to remove. Its parent is opened at the start: where its path leads at the end is nobody's promise. */
struct tree {
    const char *path;
    int parent;
    char *name;
    /* The lock's name, if the lock is in it. */
    char *lock;
};

struct sandbox {
    pid_t init;
    int pidfd;
    int link;
    int user_namespace;
    bool is_kept;
};

/* ---- arguments ---- */

_Noreturn static void usage(const char *why)
{
    complain("janitor: %s", why);
    exit(125);
}

static int parse_descriptor(const char *text)
{
    uint64_t number;
    if (!parse_number(text, INT32_MAX, &number) || number <= STDERR_FILENO || fcntl((int)number, F_GETFD) == -1) {
        usage("not an open descriptor above 2");
    }
    fcntl((int)number, F_SETFD, FD_CLOEXEC);
    return (int)number;
}

static void append(char ***list, size_t *count, size_t most, char *text)
{
    if (*list == NULL) {
        *list = allocate_array(most, sizeof **list);
    }
    if (*count == most) {
        usage("too many of one argument");
    }
    (*list)[(*count)++] = text;
}

static void take_option(struct options *options, int option)
{
    switch (option) {
    case 'c':
        options->control = parse_descriptor(optarg);
        return;
    case 'l':
        options->lock = parse_descriptor(optarg);
        return;
    case 'o':
        options->owner = parse_descriptor(optarg);
        return;
    case 'v':
        options->level = strcmp(optarg, "2") == 0 ? 2 : strcmp(optarg, "1") == 0 ? 1 : 0;
        return;
    case 'u':
        options->user = true;
        return;
    case 'U':
        append(&options->uids.lines, &options->uids.count, MOST_LINES, optarg);
        return;
    case 'G':
        append(&options->gids.lines, &options->gids.count, MOST_LINES, optarg);
        return;
    case 'm':
        options->uids.program = optarg;
        return;
    case 'n':
        options->gids.program = optarg;
        return;
    case 'd':
        append(&options->directories, &options->directory_count, MOST_DIRECTORIES, optarg);
        return;
    case 'g':
        append(&options->cgroups, &options->cgroup_count, MOST_DIRECTORIES, optarg);
        return;
    case 'p':
        options->proc = true;
        return;
    default:
        usage("unknown argument");
    }
}

static void check_options(const struct options *options)
{
    if (options->control == -1) {
        usage("--control is missing");
    }
    if (options->level == 0) {
        usage("--level is 1 or 2");
    }
    if (options->user && (!idmaps_check(&options->uids) || !idmaps_check(&options->gids))) {
        usage("--user needs --uid-map and --gid-map, each INSIDE:OUTSIDE:COUNT");
    }
}

static void parse_options(struct options *options, int count, char **arguments)
{
    static const struct option names[] = {
        {"control", required_argument, NULL, 'c'},   {"lock", required_argument, NULL, 'l'},
        {"owner", required_argument, NULL, 'o'},     {"level", required_argument, NULL, 'v'},
        {"user", no_argument, NULL, 'u'},            {"uid-map", required_argument, NULL, 'U'},
        {"gid-map", required_argument, NULL, 'G'},   {"newuidmap", required_argument, NULL, 'm'},
        {"newgidmap", required_argument, NULL, 'n'}, {"directory", required_argument, NULL, 'd'},
        {"cgroup", required_argument, NULL, 'g'},    {"proc", no_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){.control = -1, .lock = -1, .owner = -1, .level = 1};
    int option;
    while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) {
        take_option(options, option);
    }
    if (optind != count) {
        usage("unknown argument");
    }
    check_options(options);
}

/* ---- what we inherited ---- */

static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    reset_signals();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < LENGTH(ignored); i++) {
        sigaction(ignored[i], &ignore, NULL);
    }
}

static int compare_numbers(const void *one, const void *other)
{
    int first;
    int second;
    memcpy(&first, one, sizeof first);
    memcpy(&second, other, sizeof second);
    return (first > second) - (first < second);
}

/* A descriptor of the owner's that slipped through would live in everything that the session starts. */
static void close_rest(const struct options *options)
{
    int kept[] = {STDERR_FILENO, options->control, options->lock, options->owner};
    qsort(kept, LENGTH(kept), sizeof *kept, compare_numbers);
    for (size_t i = 0; i < LENGTH(kept); i++) {
        unsigned first = (unsigned)(kept[i] < STDERR_FILENO ? STDERR_FILENO : kept[i]) + 1;
        unsigned last = i + 1 < LENGTH(kept) ? (unsigned)(kept[i + 1] - 1) : ~0U;
        if (kept[i] >= STDERR_FILENO && first <= last) {
            close_from(first, last);
        }
    }
}

static void open_standard(void)
{
    int null;
    do {
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null == -1) {
            usage("/dev/null cannot be opened");
        }
        if (null <= STDERR_FILENO) {
            fcntl(null, F_SETFD, 0);
        }
    } while (null <= STDERR_FILENO);
    spawn_defaults.dev_null = null;
    getrlimit(RLIMIT_NOFILE, &spawn_defaults.files);
}

/* ---- directories ---- */

static char *read_path(int descriptor)
{
    char path[4096];
    ssize_t length = readlink(path_of_descriptor(descriptor).text, path, sizeof path - 1);
    if (length <= 0) {
        return NULL;
    }
    path[length] = '\0';
    return strdup(path);
}

/* The name of the lock's file if that is directly in the tree. */
static char *find_lock(const struct tree *tree, int lock)
{
    char *found = NULL;
    int directory = openat(tree->parent, tree->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char *directory_path = directory != -1 ? read_path(directory) : NULL;
    char *lock_path = read_path(lock);
    char *slash = lock_path != NULL ? strrchr(lock_path, '/') : NULL;
    if (directory_path != NULL && slash != NULL) {
        *slash = '\0';
        if (strcmp(lock_path, directory_path) == 0) {
            found = strdup(slash + 1);
        }
    }
    free(directory_path);
    free(lock_path);
    close_descriptor(&directory);
    return found;
}

static struct tree *open_trees(const struct options *options)
{
    struct tree *trees = allocate_array(options->directory_count, sizeof *trees);
    for (size_t i = 0; i < options->directory_count; i++) {
        struct tree *tree = &trees[i];
        tree->path = options->directories[i];
        tree->parent = remove_split(tree->path, &tree->name);
        if (tree->parent != -1 && options->lock != -1) {
            tree->lock = find_lock(tree, options->lock);
        }
    }
    return trees;
}

static void remove_one(struct tree *tree)
{
    if (tree->parent == -1) {
        tree->parent = remove_split(tree->path, &tree->name);
    }
    if (tree->parent != -1) {
        remove_tree(tree->parent, tree->name, tree->lock);
    }
}

/* While anything of the session is left, so is its lock: whoever finds a directory without one may take it for
 * something that is being made. */
static void remove_all(struct tree *trees, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (trees[i].lock == NULL) {
            remove_one(&trees[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (trees[i].lock != NULL) {
            remove_one(&trees[i]);
        }
    }
}

/* The files of a rootless session belong to subordinate ids; root of its user namespace may remove them. */
static void remove_as_namespace_root(int user_namespace, struct tree *trees, size_t count)
{
    pid_t pid = clone_process(0, NULL);
    if (pid == 0) {
        if (setns(user_namespace, CLONE_NEWUSER) == 0 && setresgid(0, 0, 0) == 0 && setresuid(0, 0, 0) == 0) {
            remove_all(trees, count);
        }
        _exit(0);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

/* ---- the sandbox ---- */

static int start_init(const struct options *options, struct sandbox *sandbox, struct failure *failure)
{
    int link[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) == -1) {
        return fail(failure, "socketpair", NULL);
    }
    unsigned long flags = (options->level == 1 ? CLONE_NEWPID : 0) | (options->user ? CLONE_NEWUSER : 0);
    pid_t pid = clone_process(flags, &sandbox->pidfd);
    if (pid == 0) {
        struct init_start start = {
            .control = options->control,
            .link = link[1],
            .lock = options->lock,
            .level = options->level,
            .user = options->user,
            .proc = options->proc,
        };
        close(link[0]);
        if (options->owner != -1) {
            close(options->owner);
        }
        init_run(&start);
    }
    if (pid == -1) {
        fail(failure, "clone", options->user ? "CLONE_NEWUSER|CLONE_NEWPID" : "CLONE_NEWPID");
        close_descriptor(&link[0]);
        close_descriptor(&link[1]);
        return -1;
    }
    close(link[1]);
    sandbox->link = link[0];
    sandbox->init = pid;
    return 0;
}

static int open_user_namespace(pid_t pid)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int set_up(const struct options *options, struct sandbox *sandbox, struct failure *failure)
{
    if (start_init(options, sandbox, failure) == -1) {
        return -1;
    }
    if (options->user) {
        sandbox->user_namespace = open_user_namespace(sandbox->init);
        if (idmaps_write(sandbox->init, &options->uids, &options->gids, failure) == -1) {
            return -1;
        }
    }
    struct init_word word = {.pid = sandbox->init};
    if (send(sandbox->link, &word, sizeof word, MSG_NOSIGNAL) == -1) {
        return fail(failure, "send", "init");
    }
    return 0;
}

/* False when init's end of the socket is closed. A process that dies closes its files first and waits then for its
 * whole PID namespace, which a frozen process can hold up: this is heard earlier than the pidfd. */
static bool hear_init(struct sandbox *sandbox)
{
    char said;
    ssize_t length = recv(sandbox->link, &said, sizeof said, MSG_DONTWAIT);
    if (length == 1 && said == SESSION_KEPT) {
        sandbox->is_kept = true;
    }
    return length != 0;
}

static void watch_sandbox(struct sandbox *sandbox, int owner)
{
    for (;;) {
        struct pollfd watched[] = {
            {.fd = sandbox->pidfd, .events = POLLIN},
            {.fd = sandbox->link, .events = POLLIN},
            {.fd = sandbox->is_kept ? -1 : owner, .events = POLLIN},
        };
        if (poll(watched, LENGTH(watched), -1) == -1) {
            continue;
        }
        /* Before the owner: one that has kept its session and left at once must not end it. */
        if (watched[1].revents != 0 && !hear_init(sandbox)) {
            return;
        }
        if (watched[0].revents != 0 || (watched[2].revents != 0 && !sandbox->is_kept)) {
            return;
        }
    }
}

static void end_sandbox(const struct options *options, struct sandbox *sandbox)
{
    struct pollfd end = {.fd = sandbox->pidfd, .events = POLLIN};
    pidfd_signal(sandbox->pidfd, SIGKILL);
    do {
        if (options->level == 2) {
            cgroups_kill(options->cgroups, options->cgroup_count);
        }
        cgroups_thaw(options->cgroups, options->cgroup_count);
    } while (poll(&end, 1, FROZEN_RETRY_MS) == 0);
    if (options->level == 2) {
        descendants_kill();
    }
    waitpid(sandbox->init, NULL, __WALL);
}

static void sweep(const struct options *options, const struct sandbox *sandbox, struct tree *trees)
{
    cgroups_thaw(options->cgroups, options->cgroup_count);
    cgroups_kill(options->cgroups, options->cgroup_count);
    cgroups_remove(options->cgroups, options->cgroup_count);
    if (sandbox->user_namespace != -1) {
        remove_as_namespace_root(sandbox->user_namespace, trees, options->directory_count);
    }
    remove_all(trees, options->directory_count);
}

int janitor_main(int count, char **arguments)
{
    static struct options options;
    static struct tree *trees;
    struct failure failure = {0};
    struct sandbox sandbox = {.init = -1, .pidfd = -1, .link = -1, .user_namespace = -1};
    parse_options(&options, count, arguments);
    ignore_signals();
    setsid();
    close_rest(&options);
    open_standard();
    prctl(PR_SET_NAME, "pods-janitor");
    trees = open_trees(&options);
    if (options.level == 2) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    if (set_up(&options, &sandbox, &failure) == -1) {
        struct answer answer;
        answer_failure(&answer, 0, &failure);
        send(options.control, answer.packet, answer.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
        /* From here on the connection is init's alone: its end is to be heard when init ends. */
        close(options.control);
        options.control = -1;
        watch_sandbox(&sandbox, options.owner);
    }
    if (sandbox.init != -1) {
        end_sandbox(&options, &sandbox);
    }
    sweep(&options, &sandbox, trees);
    return 0;
}
