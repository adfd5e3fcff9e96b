/* pause: PID 1 of a pod that shares its PID namespace. */
#ifndef PODS_PAUSE_H
#define PODS_PAUSE_H

int pause_main(void);

#endif
