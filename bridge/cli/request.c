/* request.c: a request as the command line or a vector gives it; bodies and schemes from files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "config.h"
#include "template.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#define FIELD(f) .offset = offsetof(struct cli_request, f)
const struct cli_option request_options[] = {
    {.name = "scheme",
     .kind = CLI_TEXT,
     FIELD(scheme),
     .argument = "NAME",
     .help = "how the sender signs: a name from providers.cfg"},
    {.name = "schemes",
     .kind = CLI_TEXT,
     FIELD(schemes),
     .argument = "FILE",
     .help = "further schemes, as in the ingress's triggers.schemes"},
    {.name = "header",
     .letter = 'H',
     .kind = CLI_LIST,
     FIELD(headers),
     .argument = "'NAME: VALUE'",
     .help = "a header of the request; may be given several times"},
    {.name = "url",
     .letter = 'u',
     .kind = CLI_TEXT,
     FIELD(url),
     .argument = "URL",
     .help = "the public URL with the query, where the scheme signs it"},
    {.name = "method",
     .kind = CLI_TEXT,
     FIELD(method),
     .argument = "METHOD",
     .default_text = "POST",
     .help = "of the request"},
    {.name = "now",
     .kind = CLI_TEXT,
     FIELD(now),
     .argument = "SECONDS",
     .help = "sign or judge as of this Unix time; now, if not given"},
};
const size_t request_option_count = sizeof request_options / sizeof request_options[0];

bool headers_add(struct cli_headers *h, struct bytes name, struct bytes value)
{
    if (h->count == CLI_HEADERS_MAX) return false;
    h->names[h->count] = name;
    h->values[h->count++] = value;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool headers_add_line(struct cli_headers *h, struct bytes line, struct error *error)
{
    const uint8_t *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
    struct bytes name = {line.data, colon ? (size_t)(colon - line.data) : 0};
    if (!template_is_header_name(name))
        return error_set(error, ERROR_INVALID, "'%.*s' is not a header line 'Name: value'", (int)line.size,
                         (const char *)line.data);
    struct bytes value = {colon + 1, line.size - name.size - 1};
    for (; value.size > 0 && is_blank(value.data[0]); value.size--)
        value.data++;
    while (value.size > 0 && is_blank(value.data[value.size - 1]))
        value.size--;
    return headers_add(h, name, value) || error_set(error, ERROR_TOO_LARGE, "more than %d headers", CLI_HEADERS_MAX);
}

size_t headers_find(void *ctx, const char *name, struct bytes *value)
{
    const struct cli_headers *h = ctx;
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++)
        if (text_equal_ignore_case(h->names[i], bytes_of(name)) && count++ == 0) *value = h->values[i];
    return count;
}

struct scheme_request request_make(struct cli_headers *h, const char *method, const char *url)
{
    const char *at = url ? url : "";
    size_t path = strcspn(at, "?#"), all = strcspn(at, "#");
    return (struct scheme_request){.find = headers_find,
                                   .ctx = h,
                                   .method = bytes_of(method),
                                   .url = {(const uint8_t *)at, path},
                                   .query = {(const uint8_t *)at + path, all - path}};
}

const struct scheme *request_scheme(const struct cli_request *request, const struct scheme_set *schemes,
                                    struct error *error)
{
    if (request->scheme == NULL) {
        error_set(error, ERROR_INVALID, "--scheme is needed");
        return NULL;
    }
    const struct scheme *scheme = scheme_find(schemes, request->scheme);
    if (scheme == NULL) error_set(error, ERROR_INVALID, "there is no scheme '%s'", request->scheme);
    return scheme;
}

bool request_read(const struct cli_request *request, struct cli_headers *headers, int64_t *now_ms, struct error *error)
{
    int64_t now_s = 0;
    for (size_t i = 0; i < request->headers.count; i++)
        if (!headers_add_line(headers, bytes_of(request->headers.items[i]), error))
            return error_context(error, "--header");
    if (request->now != NULL && !text_parse_int64(bytes_of(request->now), 0, INT64_MAX / 1000000, &now_s))
        return error_set(error, ERROR_INVALID, "--now takes Unix seconds");
    *now_ms = request->now != NULL ? now_s * 1000 : clock_wall_us() / 1000;
    return true;
}

bool body_read(const char *path, struct buffer *out, struct error *error)
{
    const bool from_stdin = path == NULL || strcmp(path, "-") == 0;
    const int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(error, errno, "open '%s'", path);
    uint8_t chunk[8192];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        buffer_append(out, chunk, (size_t)n);
    }
    const int errnum = errno;
    if (!from_stdin) close(fd);
    if (n < 0) return error_set_errno(error, errnum, "read '%s'", from_stdin ? "stdin" : path);
    return buffer_ok(out) || error_set(error, ERROR_TOO_LARGE, "the body is over %d bytes", CLI_BODY_MAX);
}

struct scheme_set *schemes_open(const char *path, struct error *error)
{
    struct scheme_set *set = scheme_set_load(scheme_providers_text, error);
    if (set == NULL || path == NULL) return set;
    struct config_report report;
    config_report_init(&report);
    struct config_file *file = config_open(path, &report);
    const bool good = file != NULL && scheme_set_add(set, file, &report);
    config_close(file);
    if (!good) error_set(error, ERROR_INVALID, "%s", buffer_cstr(&report.text));
    config_report_close(&report);
    if (good) return set;
    scheme_set_free(set);
    return NULL;
}
