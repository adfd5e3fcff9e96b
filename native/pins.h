/* PIN: namespaces that live as long as the files they are bound on. */
#ifndef PODS_PINS_H
#define PODS_PINS_H

#include "util.h"
#include "wire.h"

/* In a child of init, which leaves its namespaces for the new ones. */
int pin_work(const struct message *message, struct failure *failure);

#endif
