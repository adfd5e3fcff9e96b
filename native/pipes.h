/* Pipes for splice(2), taken while there is data and given back: a thousand idle connections need none. */
#ifndef PODS_PIPES_H
#define PODS_PIPES_H

#include <stdbool.h>

struct splice_pipe {
    struct splice_pipe *next;
    int read_end;
    int write_end;
};

/* NULL if there is no descriptor for one at the moment. */
struct splice_pipe *pipe_take(void);

/* `empty`: one with data in it is no use to anybody else. */
void pipe_give_back(struct splice_pipe *pipe, bool empty);

#endif
