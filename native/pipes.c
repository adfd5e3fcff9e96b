#define _GNU_SOURCE
#include "pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

enum {
    MOST_SPARE = 16,
    RESERVED = 4,
    /* As much as an ordinary user gets; more is faster than the kernel's 64 KiB by half. */
    PIPE_BYTES = 256 * 1024,
};

static struct splice_pipe *spare;
static unsigned spare_count;
static unsigned made_count;

static struct splice_pipe *make(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
        return NULL;
    }
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
    struct splice_pipe *pipe = allocate(sizeof *pipe);
    *pipe = (struct splice_pipe){.read_end = ends[0], .write_end = ends[1]};
    made_count++;
    return pipe;
}

static void keep(struct splice_pipe *pipe)
{
    pipe->next = spare;
    spare = pipe;
    spare_count++;
}

int pipe_reserve(void)
{
    while (made_count < RESERVED) {
        struct splice_pipe *pipe = make();
        if (pipe == NULL) {
            return -1;
        }
        keep(pipe);
    }
    return 0;
}

struct splice_pipe *pipe_take(void)
{
    struct splice_pipe *pipe = spare;
    if (pipe == NULL) {
        return make();
    }
    spare = pipe->next;
    spare_count--;
    return pipe;
}

/* What is in the pipe of a connection that has ended is nobody's. */
static void drain(const struct splice_pipe *pipe)
{
    char lost[16384];
    while (read(pipe->read_end, lost, sizeof lost) > 0) {
    }
}

void pipe_give_back(struct splice_pipe *pipe)
{
    if (spare_count < MOST_SPARE) {
        drain(pipe);
        keep(pipe);
        return;
    }
    close(pipe->read_end);
    close(pipe->write_end);
    made_count--;
    free(pipe);
}
