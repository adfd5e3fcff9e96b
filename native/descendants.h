/* Killing everything below a subreaper: level 2's stand-in for the end of a PID namespace. */
#ifndef PODS_DESCENDANTS_H
#define PODS_DESCENDANTS_H

/* Kills and reaps children until there are none. What a killed child leaves behind becomes a child of the caller, which
 * has to be a subreaper. */
void descendants_kill(void);

#endif
