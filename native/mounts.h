/* MOUNT and UNMOUNT, in init's mount namespace. */
#ifndef PODS_MOUNTS_H
#define PODS_MOUNTS_H

#include "util.h"
#include "wire.h"

int mount_serve(const struct message *message, struct failure *failure);
int unmount_serve(const struct message *message, struct failure *failure);

#endif
