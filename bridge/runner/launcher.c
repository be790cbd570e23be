/* launcher.c: the last steps before a command runs: die with the runner, no new privileges, limits, directory, exec.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program of its own without a C library: every command passes through it, and starting the runner itself in its
 * place (40 shared libraries) takes 5 ms, a static glibc 0.35 ms (its start-up asks CPUID, which traps under a
 * hypervisor), this one 0.04 ms beside the 0.5 ms of /bin/true. */
#include "launch_order.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* A system call: its result, or -errno. */
static long call(long number, long a, long b, long c, long d);
/* The launcher proper; `argc`, `argv` and the environment as the kernel laid them out. */
_Noreturn void launch(const long *stack);

#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".text\n.globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall launch\n");
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
__asm__(".text\n.globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl launch\n");
#else
#error "the launcher knows the system calls of x86-64 and arm64 only"
#endif

static _Noreturn void leave(void)
{
    for (;;)
        call(SYS_exit_group, 127, 0, 0, 0);
}

static _Noreturn void fail(enum launch_step step, long negative_errno)
{
    const struct launch_report report = {(int32_t)step, (int32_t)-negative_errno};
    call(SYS_write, LAUNCH_REPORT_FD, (long)&report, sizeof report, 0);
    leave();
}

static bool is_form(const char *text)
{
    const char *form = LAUNCH_FORM;
    while (*form && *form == *text)
        form++, text++;
    return *form == *text;
}

/* The runner wrote it with %lld from a value that is not negative. */
static long long number_of(const char *text)
{
    long long n = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (*text - '0');
    return n;
}

static void limit_set(enum launch_step step, int resource, unsigned long long soft, unsigned long long hard)
{
    const struct {
        unsigned long long soft, hard;
    } limit = {soft, hard};
    const long result = call(SYS_prlimit64, 0, resource, (long)&limit, 0);
    if (result < 0) fail(step, result);
}

/* The runner raised its own soft limit; a program that uses select() breaks above 1024. */
static void files_soften(void)
{
    struct {
        unsigned long long soft, hard;
    } limit;
    if (call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) == 0 && limit.soft > 1024)
        limit_set(LAUNCH_STEP_FILES, RLIMIT_NOFILE, 1024, limit.hard);
}

static void limits_set(char *const *argv)
{
    const unsigned long long memory = (unsigned long long)number_of(argv[LAUNCH_MEMORY]);
    const unsigned long long cpu = (unsigned long long)number_of(argv[LAUNCH_CPU]);
    const unsigned long long files = (unsigned long long)number_of(argv[LAUNCH_FILES]);
    const unsigned long long processes = (unsigned long long)number_of(argv[LAUNCH_PROCESSES]);
    if (memory) limit_set(LAUNCH_STEP_MEMORY, RLIMIT_AS, memory, memory);
    /* The soft limit's SIGXCPU tells why it ended; a command that ignores it meets SIGKILL. */
    if (cpu) limit_set(LAUNCH_STEP_CPU, RLIMIT_CPU, cpu, cpu + 5);
    if (files)
        limit_set(LAUNCH_STEP_FILES, RLIMIT_NOFILE, files, files);
    else
        files_soften();
    if (processes) limit_set(LAUNCH_STEP_PROCESSES, RLIMIT_NPROC, processes, processes);
}

static const char *path_of(char *const *environment)
{
    for (; *environment; environment++) {
        const char *e = *environment;
        if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=') return e + 5;
    }
    return "";
}

static bool has_slash(const char *name)
{
    while (*name && *name != '/')
        name++;
    return *name == '/';
}

/* directory/name into `out`; false when it does not fit. */
static bool join(char out[PATH_MAX], const char *directory, size_t directory_size, const char *name)
{
    size_t n = 0;
    if (directory_size > PATH_MAX - 2) return false;
    for (; n < directory_size; n++)
        out[n] = directory[n];
    out[n++] = '/';
    while (n < PATH_MAX && *name)
        out[n++] = *name++;
    if (n == PATH_MAX) return false;
    out[n] = 0;
    return true;
}

static long execute(const char *path, char *const *argv, char *const *environment)
{
    return call(SYS_execve, (long)path, (long)argv, (long)environment, 0);
}

/* As execvpe, but a file that is no program is an error and not a shell script.  Returns -errno. */
static long execute_in_path(char *const *argv, char *const *environment)
{
    if (!argv[0][0]) return -ENOENT;
    if (has_slash(argv[0])) return execute(argv[0], argv, environment);
    long result = -ENOENT;
    const char *path = path_of(environment);
    while (*path) {
        char candidate[PATH_MAX];
        size_t size = 0;
        while (path[size] && path[size] != ':')
            size++;
        if (size && join(candidate, path, size, argv[0])) {
            const long tried = execute(candidate, argv, environment);
            if (tried != -ENOENT && tried != -ENOTDIR && tried != -EACCES) return tried;
            if (tried == -EACCES) result = tried;
        }
        path += size;
        if (*path == ':') path++;
    }
    return result;
}

_Noreturn void launch(const long *stack)
{
    const long argc = stack[0];
    char *const *argv = (char *const *)(stack + 1);
    char *const *environment = argv + argc + 1;
    if (call(SYS_fcntl, LAUNCH_REPORT_FD, F_SETFD, FD_CLOEXEC, 0) < 0) leave();
    if (argc <= LAUNCH_COMMAND || !is_form(argv[LAUNCH_VERSION])) fail(LAUNCH_STEP_FORM, -EINVAL);

    long result = call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
    if (result < 0) fail(LAUNCH_STEP_PRIVILEGES, result);
    /* A runner that died before the line above sends nothing any more: it shows as another parent. */
    if (call(SYS_getppid, 0, 0, 0, 0) != number_of(argv[LAUNCH_PARENT])) leave();
    result = call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0);
    if (result < 0) fail(LAUNCH_STEP_PRIVILEGES, result);
    limits_set(argv);
    const char *directory = argv[LAUNCH_DIRECTORY];
    result = *directory ? call(SYS_chdir, (long)directory, 0, 0, 0) : 0;
    if (result < 0) fail(LAUNCH_STEP_DIRECTORY, result);
    fail(LAUNCH_STEP_EXEC, execute_in_path(argv + LAUNCH_COMMAND, environment));
}
