#define _GNU_SOURCE
#include "pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

enum {
    MOST_SPARE = 16,
    /* As much as an ordinary user gets; more is faster than the kernel's 64 KiB by half. */
    PIPE_BYTES = 256 * 1024,
};

static struct splice_pipe *spare;
static unsigned spare_count;

struct splice_pipe *pipe_take(void)
{
    int ends[2];
    struct splice_pipe *pipe = spare;
    if (pipe != NULL) {
        spare = pipe->next;
        spare_count--;
        return pipe;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
        return NULL;
    }
    fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
    pipe = allocate(sizeof *pipe);
    *pipe = (struct splice_pipe){.read_end = ends[0], .write_end = ends[1]};
    return pipe;
}

void pipe_give_back(struct splice_pipe *pipe, bool empty)
{
    if (empty && spare_count < MOST_SPARE) {
        pipe->next = spare;
        spare = pipe;
        spare_count++;
        return;
    }
    close(pipe->read_end);
    close(pipe->write_end);
    free(pipe);
}
