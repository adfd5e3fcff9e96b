/* enter: executes a command in a container, as its orders say. */
#ifndef PODS_ENTER_H
#define PODS_ENTER_H

int enter_main(void);

#endif
