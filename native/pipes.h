/* Pipes for splice(2), taken while there is data and given back: a thousand idle connections need none. */
#ifndef PODS_PIPES_H
#define PODS_PIPES_H

struct splice_pipe {
    struct splice_pipe *next;
    int read_end;
    int write_end;
};

/* Makes the pipes that are never closed, so that what is connected gets on one after the other when connections have
 * taken all descriptors. -1 with errno. */
int pipe_reserve(void);

/* NULL if there is no descriptor for one at the moment. */
struct splice_pipe *pipe_take(void);

void pipe_give_back(struct splice_pipe *pipe);

#endif
