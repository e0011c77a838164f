// Arguments, environment, standard streams, time, randomness and the exit status.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(99);
    }
}

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("argv[%d]=%s\n", i, argv[i]);
    printf("NAME=%s NONE=%s\n", getenv("NAME"), getenv("NONE") ? "set" : "unset");

    char line[64];
    while (fgets(line, sizeof line, stdin)) printf("line: %s", line);
    check(feof(stdin), "end of input");

    check(!isatty(0) && !isatty(1), "not a terminal");
    struct timespec before, after, wait = {0, 20 * 1000 * 1000}, resolution;
    check(clock_getres(CLOCK_MONOTONIC, &resolution) == 0, "clock_getres");
    check(clock_gettime(CLOCK_MONOTONIC, &before) == 0, "clock_gettime");
    check(nanosleep(&wait, NULL) == 0, "nanosleep");
    check(clock_gettime(CLOCK_MONOTONIC, &after) == 0, "clock_gettime");
    long long slept =
        (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
    check(slept >= 20 * 1000 * 1000, "slept long enough");
    check(time(NULL) > 1600000000, "the present");
    check(sched_yield() == 0, "sched_yield");

    struct pollfd fds[2] = {{1, POLLOUT, 0}, {0, POLLIN, 0}};
    check(poll(fds, 2, 1000) >= 1 && fds[0].revents & POLLOUT, "poll");

    unsigned char random[256] = {0}, sum = 0;
    check(getentropy(random, sizeof random) == 0, "getentropy");
    for (unsigned i = 0; i < sizeof random; i++) sum |= random[i];
    check(sum != 0, "random bytes");

    fprintf(stderr, "to the error stream\n");
    return 42;
}
