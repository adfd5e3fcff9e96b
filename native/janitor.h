/* janitor: starts the sandbox and cleans up after it. */
#ifndef PODS_JANITOR_H
#define PODS_JANITOR_H

int janitor_main(int count, char **arguments);

#endif
