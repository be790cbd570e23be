/* delivery.c: one delivery as a provider would make it, and what its answer means.  Pure: no clock, no socket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "json.h"
#include "signature.h"
#include "text.h"
#include <inttypes.h>
#include <string.h>

const char *delivery_user_agent(const char *scheme)
{
    return strcmp(scheme, "github") == 0 ? "GitHub-Hookshot/drawbridge" : "drawbridge/" DRAWBRIDGE_VERSION;
}

void delivery_id(const char *run, const char *agent, int64_t sequence, char out[DELIVERY_ID_SIZE])
{
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, sequence);
    /* the NUL behind each piece keeps "a" "12" apart from "a1" "2" */
    const struct bytes pieces[] = {
        {(const uint8_t *)run, strlen(run) + 1}, {(const uint8_t *)agent, strlen(agent) + 1}, bytes_of(number)};
    uint8_t digest[SIGNATURE_SHA256_SIZE];
    signature_sha256(pieces, sizeof pieces / sizeof pieces[0], digest);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80); /* version 8 */
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80); /* variant */
    char hex[33];
    text_hex(digest, 16, hex);
    snprintf(out, DELIVERY_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void delivery_body(const char *run, const char *agent, int64_t sequence, int64_t body_size, struct buffer *out)
{
    const size_t start = out->size;
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_cstr(&w, "run", run);
    json_write_cstr(&w, "agent_id", agent);
    json_write_int(&w, "sequence", sequence);
    json_write_cstr(&w, "ref", "refs/heads/main");
    static const char before[] = ",\"padding\":\"", after[] = "\"}";
    const int64_t missing = body_size - (int64_t)(out->size - start) - (int64_t)(sizeof before + sizeof after - 2);
    if (missing < 0) {
        json_write_object_end(&w);
        return;
    }
    buffer_text(out, before);
    for (int64_t i = 0; i < missing; i++)
        buffer_byte(out, (char)('a' + (i + sequence) % 26));
    buffer_text(out, after);
}

void delivery_url(const char *pattern, const char *agent, struct buffer *out)
{
    static const char place[] = "{agent}";
    for (const char *at; (at = strstr(pattern, place)) != NULL; pattern = at + strlen(place)) {
        buffer_append(out, pattern, (size_t)(at - pattern));
        buffer_text(out, agent);
    }
    buffer_text(out, pattern);
}

static enum delivery_verdict judge_success(struct bytes answer, char *workflow_id)
{
    struct error error;
    struct json *document = json_parse(answer, &error);
    const char *status = "", *id = "";
    json_text(json_get(document, "status", NULL), &status);
    json_text(json_get(document, "workflow_id", NULL), &id);
    enum delivery_verdict verdict = DELIVERY_REFUSED; /* a 2xx that is not our ingress's is no promise */
    if (strcmp(status, "ignored") == 0)
        verdict = DELIVERY_IGNORED;
    else if (strcmp(status, "triggered") == 0 && *id != '\0' && strlen(id) < RECORD_WORKFLOW_ID_SIZE) {
        verdict = DELIVERY_ACCEPTED;
        snprintf(workflow_id, RECORD_WORKFLOW_ID_SIZE, "%s", id);
    }
    json_free(document);
    return verdict;
}

enum delivery_verdict delivery_judge(int status, struct bytes answer, char *workflow_id)
{
    *workflow_id = '\0';
    if (status == 200 || status == 202) return judge_success(answer, workflow_id);
    return status == 0 || status == 429 || status == 503 ? DELIVERY_AGAIN : DELIVERY_REFUSED;
}
