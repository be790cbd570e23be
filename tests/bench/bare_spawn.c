/* bare_spawn.c: how many processes a second this machine can start and reap at all; what runs per second are measured
 * against.  bare_spawn COUNT CONCURRENCY PROGRAM [ARGUMENTS...].  SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "text.h"
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t number(const char *text)
{
    int64_t n;
    return text_parse_int64(bytes_of(text), 1, 1000000, &n) ? n : 0;
}

/* Waits for one process to end as it should. */
static bool reap(const char *program)
{
    int status;
    if (wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    fprintf(stderr, "%s: did not end with 0\n", program);
    return false;
}

static bool start(char *const *argv)
{
    pid_t pid;
    const int failure = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
    if (failure) fprintf(stderr, "%s: %s\n", argv[0], strerror(failure));
    return failure == 0;
}

int main(int argc, char **argv)
{
    const int64_t count = argc > 3 ? number(argv[1]) : 0, concurrency = argc > 3 ? number(argv[2]) : 0;
    if (!count || !concurrency) {
        fprintf(stderr, "usage: bare_spawn COUNT CONCURRENCY PROGRAM [ARGUMENTS...]\n");
        return 64;
    }
    char *const *program = argv + 3;
    const int64_t begun_us = clock_monotonic_us();
    for (int64_t i = 0; i < count; i++) {
        if (i >= concurrency && !reap(program[0])) return 1;
        if (!start(program)) return 1;
    }
    for (int64_t i = 0; i < concurrency && i < count; i++)
        if (!reap(program[0])) return 1;
    const double seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    printf("{\"count\":%lld,\"concurrency\":%lld,\"seconds\":%.3f,\"per_second\":%.1f}\n", (long long)count,
           (long long)concurrency, seconds, (double)count / seconds);
    return 0;
}
