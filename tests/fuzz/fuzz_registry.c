/* fuzz_registry.c: any bytes as records of the triggers topic: nobody without the key brings a trigger into force.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct settings settings;
static struct scheme_set *schemes;

static void prepare(void)
{
    static char url[] = "https://hooks.example", prefix[] = "/api/v1/agents", listen_text[] = "0.0.0.0:8080",
                topic[] = "t";
    if (schemes) return;
    struct error error;
    bool good = signature_init(&error);
    schemes = scheme_set_load(scheme_providers_text, &error);
    settings = (struct settings){.public_url = url,
                                 .prefix = prefix,
                                 .listen = listen_text,
                                 .trigger_topic = topic,
                                 .body_max = 1 << 20,
                                 .publish_deadline_ms = 4000};
    settings.keys = keyring_parse(bytes_of("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), &error);
    good = good && schemes && settings.keys;
    assert(good);
}

/* After a syntax error libconfig 1.5 forgets the text its scanner was holding. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

/* Records, one behind each zero byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    struct registry *r = registry_new(&settings, schemes);
    assert(r);
    for (int64_t offset = 0; size > 0; offset++) {
        const uint8_t *end = memchr(data, 0, size);
        size_t length = end ? (size_t)(end - data) : size;
        struct error problem = {0};
        const struct record record = {.key = bytes_of("a"), .value = {data, length}};
        enum registry_verdict verdict = registry_take(r, &record, offset, &problem);
        assert(verdict == REGISTRY_REFUSED && problem.text[0]);
        data += length + (end != NULL);
        size -= length + (end != NULL);
    }
    struct trigger_set *none = trigger_set_new(), *set = registry_merge(r, none);
    assert(set && trigger_set_count(set) == 0);
    trigger_set_unref(set);
    trigger_set_unref(none);
    registry_free(r);
    return 0;
}
