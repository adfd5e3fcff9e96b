/* Small things that every part needs: failures that name their call and subject, descriptors, text. */
#ifndef PODS_UTIL_H
#define PODS_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* What failed. Small enough for one atomic write to a pipe. `error` 0 is no failure. */
struct failure {
    int error;
    char call[32];
    char subject[512];
    char message[1024];
};

/* Record a failure and return -1; the first form takes errno. `subject` may be NULL. */
int fail(struct failure *failure, const char *call, const char *subject);
int fail_with(struct failure *failure, int error, const char *call, const char *subject);

/* One line on stderr, after the program's name. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain_of(const struct failure *failure);

/* Out of memory, or a state that must not be: nothing can be saved, and the kernel cleans up after us. */
_Noreturn void give_up(const char *why);
void *allocate(size_t size);
void *allocate_array(size_t count, size_t size);

void copy_text(char *to, size_t size, const char *from);

/* Close and set to -1; keeps errno. */
void close_descriptor(int *descriptor);

/* Write a short text into a file of /proc or /sys in one go; -1 with errno. */
int write_file(int directory, const char *path, const char *text);

/* Read a whole small file into `text`, with a NUL; the length, or -1 with errno. */
ssize_t read_file(int directory, const char *path, char *text, size_t size);

/* Parse a decimal number that fills `text` and is at most `most`. */
bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* Everything that a program must not inherit from us: masks and dispositions of signals. */
void reset_signals(void);

/* "/proc/self/fd/N": names an open file to calls that take only paths. */
struct descriptor_path {
    char text[32];
};
struct descriptor_path path_of_descriptor(int descriptor);

#endif
