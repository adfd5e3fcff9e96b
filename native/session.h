/* How long a session lives: its owner, its lease, the path where it listens, its end. */
#ifndef PODS_SESSION_H
#define PODS_SESSION_H

#include "client.h"
#include "util.h"
#include "wire.h"

/* What init tells the janitor on their socket: the owner's end is no longer the session's. */
enum { SESSION_KEPT = 'K' };

/* `link` leads to the janitor. In level 2 init kills its descendants itself; -1 with errno. */
int session_open(int link, int level);

enum { KEEP_OWNED = 1, KEEP_WHILE_CONNECTED = 2 };

/* Takes the owner out unless told otherwise, sets the lease, listens. */
int session_keep(struct client *client, const struct message *message, struct failure *failure);

/* Ends the session as soon as this client has its answer. */
void session_shut_down(struct client *client);

void session_client_left(struct client *client);
void session_client_served(const struct client *client);

_Noreturn void session_end(void);

#endif
