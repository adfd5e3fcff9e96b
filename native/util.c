#define _GNU_SOURCE
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void copy_text(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

int fail_with(struct failure *failure, int error, const char *call, const char *subject)
{
    failure->error = error;
    copy_text(failure->call, sizeof failure->call, call);
    copy_text(failure->subject, sizeof failure->subject, subject != NULL ? subject : "");
    failure->message[0] = '\0';
    errno = error;
    return -1;
}

int fail(struct failure *failure, const char *call, const char *subject)
{
    return fail_with(failure, errno, call, subject);
}

void complain(const char *format, ...)
{
    char line[2048];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    dprintf(STDERR_FILENO, "nsenter_helper: %s\n", line);
}

void complain_of(const struct failure *failure)
{
    const char *colon = failure->subject[0] != '\0' ? ": " : "";
    complain("%s%s%s: %s", failure->call, colon, failure->subject, strerror(failure->error));
}

void give_up(const char *why)
{
    complain("%s", why);
    _exit(125);
}

void *allocate_array(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        give_up("out of memory");
    }
    return memory;
}

void *allocate(size_t size)
{
    return allocate_array(1, size);
}

void close_descriptor(int *descriptor)
{
    int error = errno;
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
    errno = error;
}

int write_file(int directory, const char *path, const char *text)
{
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (file == -1) {
        return -1;
    }
    ssize_t written = write(file, text, strlen(text));
    close_descriptor(&file);
    return written == -1 ? -1 : 0;
}

ssize_t read_file(int directory, const char *path, char *text, size_t size)
{
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file == -1) {
        return -1;
    }
    ssize_t length = read(file, text, size - 1);
    close_descriptor(&file);
    if (length >= 0) {
        text[length] = '\0';
    }
    return length;
}

bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > most || value > (most - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

void reset_signals(void)
{
    /* Not by sigaction(3): the C library keeps the first two real-time signals to itself, but an owner may ignore them. */
    static const unsigned long standard[8]; /* Zeros are SIG_DFL without flags and mask, in every architecture's form. */
    for (int number = 1; number < NSIG; number++) {
        syscall(SYS_rt_sigaction, number, standard, NULL, (NSIG - 1) / 8);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

struct descriptor_path path_of_descriptor(int descriptor)
{
    struct descriptor_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", descriptor);
    return path;
}
