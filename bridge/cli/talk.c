/* talk.c: what goes to stderr, and how data goes to stdout.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "text.h"
#include <stdarg.h>
#include <stdio.h>

void talk(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("drawbridge: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

enum cli_exit talk_error(const struct error *error)
{
    static const enum cli_exit exits[] = {
        [ERROR_NONE] = CLI_FAILURE,          [ERROR_INVALID] = CLI_USAGE,  [ERROR_TOO_LARGE] = CLI_USAGE,
        [ERROR_NOT_FOUND] = CLI_FAILURE,     [ERROR_DENIED] = CLI_FAILURE, [ERROR_UNAVAILABLE] = CLI_UNAVAILABLE,
        [ERROR_TIMED_OUT] = CLI_UNAVAILABLE, [ERROR_IO] = CLI_FAILURE,     [ERROR_MEMORY] = CLI_FAILURE,
        [ERROR_INTERNAL] = CLI_FAILURE,
    };
    talk("%s", error->text);
    return exits[error->code];
}

bool talk_line(struct bytes line)
{
    fwrite(line.data, 1, line.size, stdout);
    fputc('\n', stdout);
    return fflush(stdout) == 0 && !ferror(stdout);
}

/* Bytes of the UTF-8 character at the front, or 0 if there is none that may be shown as it is. */
static size_t shown_size(struct bytes text)
{
    const uint8_t first = text.data[0];
    if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
    const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (size > text.size || !text_is_utf8((struct bytes){text.data, size})) return 0;
    if (first == 0xc2 && text.data[1] < 0xa0) return 0; /* C1 controls: some terminals obey them */
    return size;
}

void talk_safe(struct buffer *out, struct bytes text, size_t columns)
{
    while (text.size > 0 && columns > 0) {
        const size_t size = shown_size(text);
        if (size > 0)
            buffer_append(out, text.data, size);
        else
            buffer_byte(out, text.data[0] == '\n' || text.data[0] == '\t' ? ' ' : '?');
        text.data += size > 0 ? size : 1;
        text.size -= size > 0 ? size : 1;
        columns--;
    }
}
