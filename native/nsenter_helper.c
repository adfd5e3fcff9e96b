/* The faces of the program; see README.md. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "enter.h"
#include "janitor.h"
#include "pause.h"
#include "remove.h"
#include "util.h"
#include "wire.h"

#ifndef HELPER_VERSION
#define HELPER_VERSION "unknown"
#endif

static int version_main(void)
{
    return printf("protocol %d\nversion %s\n", WIRE_VERSION, HELPER_VERSION) > 0 ? 0 : 1;
}

int main(int count, char **arguments)
{
    const char *face = count > 1 ? arguments[1] : "";
    if (strcmp(face, "janitor") == 0) {
        return janitor_main(count - 1, arguments + 1);
    }
    if (strcmp(face, "enter") == 0) {
        return enter_main();
    }
    if (strcmp(face, "remove") == 0) {
        return remove_main(count - 2, arguments + 2);
    }
    if (strcmp(face, "pause") == 0) {
        return pause_main();
    }
    if (strcmp(face, "version") == 0) {
        return version_main();
    }
    complain("usage: nsenter_helper janitor|enter|remove|pause|version");
    return 125;
}
