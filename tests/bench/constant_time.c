/* constant_time.c: does a verdict's time tell how much of a signature was right?  As dudect does it (Reparaz, Balasch,
 * Verbauwhede: "Dude, is my code constant time?"): two classes of inputs in random order, Welch's t between their
 * times, outliers cropped.  |t| above 10 is a leak; a compare that stops early is measured beside it, to see that one
 * would be seen.  constant_time [ROUNDS]; exit 1 if the product leaks, 2 if the leak that is planted is not seen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"
#include "signature.h"
#include "text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { ROUNDS = 400000, CROPS = 5 };

static const char schemes_text[] = "schemes: { mac: { signature_header = \"S\"; };"
                                   " token: { signature_header = \"S\"; algorithm = \"equal\"; }; };";
static char header[65]; /* the request's one header */

static size_t find(void *ctx, const char *name, struct bytes *value)
{
    (void)ctx, (void)name;
    *value = bytes_of(header);
    return 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t state;

static bool coin(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 63;
}

struct subject {
    const char *name;
    struct verifier *verifier; /* NULL: the planted leak */
    struct verification *verification;
    char right[65];
};

static volatile size_t sink;

static uint64_t measure(const struct subject *s)
{
    static const struct scheme_request request = {.find = find};
    struct verification_result result;
    uint64_t begin = now_ns();
    if (s->verifier) {
        verification_begin(s->verification, s->verifier, &request, VERIFICATION_ANY_TIME);
        sink = verification_finish(s->verification, &request, (struct bytes){NULL, 0}, &result);
    } else {
        for (int again = 0; again < 20; again++) {
            size_t same = 0;
            while (same < 64 && header[same] == s->right[same])
                same++;
            sink = same;
        }
    }
    return now_ns() - begin;
}

/* Class 0: wrong at the first digit; class 1: wrong at the last one only. */
static void make_input(const struct subject *s, bool late)
{
    memcpy(header, s->right, sizeof header);
    char *digit = &header[late ? 63 : 0];
    *digit = *digit == '0' ? '1' : '0';
}

struct sample {
    uint64_t ns;
    bool late;
};

static int by_time(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

/* Welch's t of the `count` fastest. */
static double welch(const struct sample *samples, size_t count)
{
    double n[2] = {0}, mean[2] = {0}, m2[2] = {0};
    for (size_t i = 0; i < count; i++) {
        int c = samples[i].late;
        double delta = (double)samples[i].ns - mean[c];
        n[c] += 1;
        mean[c] += delta / n[c];
        m2[c] += delta * ((double)samples[i].ns - mean[c]);
    }
    double error = sqrt(m2[0] / (n[0] - 1) / n[0] + m2[1] / (n[1] - 1) / n[1]);
    return error > 0 ? (mean[1] - mean[0]) / error : 0;
}

/* The largest |t| over several crops of the slow end. */
static double judge(const struct subject *s, size_t rounds, struct sample *samples)
{
    double worst = 0;
    for (size_t i = 0; i < rounds; i++) {
        bool late = coin();
        make_input(s, late);
        samples[i] = (struct sample){measure(s), late};
    }
    qsort(samples, rounds, sizeof *samples, by_time);
    for (int crop = 1; crop <= CROPS; crop++) {
        double t = fabs(welch(samples, rounds - rounds * (size_t)crop / 20));
        if (t > worst) worst = t;
    }
    printf("%-8s |t| = %6.2f over %zu verdicts\n", s->name, worst, rounds);
    return worst;
}

static struct verifier *verifier_of(const struct scheme_set *set, const char *name, const char *secret)
{
    struct verifier_secret given = {.name = "current", .secret = secret_copy(bytes_of(secret), NULL)};
    return verifier_new(scheme_find(set, name), &given, 1, NULL);
}

/* What the header of an empty body's good request would be. */
static void right_mac(const struct verifier *v, char out[65])
{
    uint8_t mac[VERIFIER_HMAC_SIZE];
    if (!verifier_hmac(v, (struct bytes){NULL, 0}, 0, mac)) abort();
    text_hex(mac, sizeof mac, out);
}

int main(int argc, char **argv)
{
    static const char token[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    int64_t rounds = ROUNDS;
    if (argc > 1 && !text_parse_int64(bytes_of(argv[1]), 1000, 100000000, &rounds)) return 64;
    if (!signature_init(NULL) || getrandom(&state, sizeof state, 0) != (ssize_t)sizeof state) return 64;
    state |= 1;
    struct scheme_set *set = scheme_set_load(schemes_text, NULL);
    struct sample *samples = calloc((size_t)rounds, sizeof *samples);
    struct verification *x = verification_new();
    if (!set || !samples || !x) return 64;
    struct subject mac = {"mac", verifier_of(set, "mac", "k"), x, {0}};
    struct subject equal = {"token", verifier_of(set, "token", token), x, {0}}, planted = {"planted", NULL, x, {0}};
    right_mac(mac.verifier, mac.right);
    memcpy(equal.right, token, sizeof token);
    memcpy(planted.right, token, sizeof token);
    double leak = judge(&planted, (size_t)rounds, samples);
    double worst = fmax(judge(&mac, (size_t)rounds, samples), judge(&equal, (size_t)rounds, samples));
    verifier_free(mac.verifier);
    verifier_free(equal.verifier);
    verification_free(x);
    scheme_set_free(set);
    free(samples);
    signature_close();
    if (leak < 10) return 2;
    return worst > 10;
}
