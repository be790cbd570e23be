/* recorder.c: an agent for the tests: drains its input, appends a line when it starts and one when it ends.
 * recorder FILE WORK_MS [EXIT_CODE].  SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : "?";
}

/* One write to a descriptor opened with O_APPEND: lines of parallel runs never mix. */
static int record(int fd, const char *kind)
{
    char line[512];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int size = snprintf(line, sizeof line, "%s %lld %s %s %s %d\n", kind,
                        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000, variable("DRAWBRIDGE_WORKFLOW_ID"),
                        variable("DRAWBRIDGE_AGENT_ID"), variable("DRAWBRIDGE_ATTEMPT"), (int)getpid());
    return size < (int)sizeof line && write(fd, line, (size_t)size) == size;
}

int main(int argc, char **argv)
{
    if (argc < 3) return 64;
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || !record(fd, "start")) return 75;
    static char input[65536];
    ssize_t got;
    while ((got = read(STDIN_FILENO, input, sizeof input)) > 0)
        continue;
    long work_ms = strtol(argv[2], NULL, 10);
    struct timespec pause = {work_ms / 1000, work_ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    printf("ok %s", variable("DRAWBRIDGE_WORKFLOW_ID"));
    if (!record(fd, "end")) return 75;
    return argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
}
