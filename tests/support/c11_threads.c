/* c11_threads.c: C11 threads as POSIX threads, for ThreadSanitizer only.  It follows pthread_create, but not glibc's
 * thrd_create, with which librdkafka starts its threads: the first of them would crash inside the sanitizer.  With the
 * locks passed on as well, hand-overs through librdkafka's queues are seen as what they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t) &&
                   sizeof(thrd_t) == sizeof(pthread_t),
               "glibc implements the one by the other");

static pthread_mutex_t *mutex(mtx_t *m)
{
    return (void *)m;
}

static pthread_cond_t *condition(cnd_t *c)
{
    return (void *)c;
}

static int result(int errnum)
{
    switch (errnum) {
    case 0: return thrd_success;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    case ENOMEM: return thrd_nomem;
    default: return thrd_error;
    }
}

struct start {
    thrd_start_t run;
    void *arg;
};

static void *run(void *ctx)
{
    struct start start = *(struct start *)ctx;
    free(ctx);
    return (void *)(intptr_t)start.run(start.arg);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *arg)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return thrd_nomem;
    *start = (struct start){.run = function, .arg = arg};
    int errnum = pthread_create(thread, NULL, run, start);
    if (errnum != 0) free(start);
    return result(errnum);
}

int thrd_join(thrd_t thread, int *code)
{
    void *value = NULL;
    int errnum = pthread_join(thread, &value);
    if (code != NULL) *code = (int)(intptr_t)value;
    return result(errnum);
}

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int errnum = pthread_mutex_init(mutex(m), &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(errnum);
}

int mtx_lock(mtx_t *m)
{
    return result(pthread_mutex_lock(mutex(m)));
}

int mtx_unlock(mtx_t *m)
{
    return result(pthread_mutex_unlock(mutex(m)));
}

void mtx_destroy(mtx_t *m)
{
    pthread_mutex_destroy(mutex(m));
}

int cnd_init(cnd_t *c)
{
    return result(pthread_cond_init(condition(c), NULL));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return result(pthread_cond_wait(condition(c), mutex(m)));
}

int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until)
{
    return result(pthread_cond_timedwait(condition(c), mutex(m), until));
}

int cnd_signal(cnd_t *c)
{
    return result(pthread_cond_signal(condition(c)));
}

int cnd_broadcast(cnd_t *c)
{
    return result(pthread_cond_broadcast(condition(c)));
}

void cnd_destroy(cnd_t *c)
{
    pthread_cond_destroy(condition(c));
}
