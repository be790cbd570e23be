/* config_text.c: see config_text.h.  SPDX-License-Identifier: Apache-2.0 */
#include "config_text.h"
#include "text.h"
#include <string.h>

enum { TOKEN_SIZE = 128 };

/* Walks over the text outside of quotes and comments. */
struct walk {
    struct bytes text;
    size_t at;
    int line;
    const char *unclosed; /* "quote" or "comment" that never ended, begun in line `began` */
    int began;
};

static bool ahead(const struct walk *w, const char *word)
{
    size_t size = strlen(word);
    return w->text.size - w->at >= size && memcmp(w->text.data + w->at, word, size) == 0;
}

static void step(struct walk *w)
{
    if (w->text.data[w->at] == '\n') w->line++;
    w->at++;
}

/* Past the text that ends with `end`; inside of quotes a backslash takes the next character along. */
static void skip(struct walk *w, const char *what, const char *begin, const char *end)
{
    w->began = w->line;
    w->at += strlen(begin);
    while (w->at < w->text.size && !ahead(w, end)) {
        if (*end == '"' && w->text.data[w->at] == '\\' && w->at + 1 < w->text.size) step(w);
        step(w);
    }
    if (w->at < w->text.size)
        w->at += strlen(end);
    else if (*end != '\n') /* a file may end in a line comment */
        w->unclosed = what;
}

/* The next character that counts, or 0 at the end; a quote or comment comes as one space. */
static char next(struct walk *w)
{
    size_t before = w->at;
    if (w->at >= w->text.size) return '\0';
    if (ahead(w, "\""))
        skip(w, "quote", "\"", "\"");
    else if (ahead(w, "/*"))
        skip(w, "comment", "/*", "*/");
    else if (ahead(w, "//") || ahead(w, "#")) {
        skip(w, "comment", "#", "\n");
        w->line++;
    }
    if (w->at > before) return ' ';
    step(w);
    return (char)w->text.data[before];
}

static bool in_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("+-._*@", c));
}

static bool hex_fits(struct bytes digits, bool wide)
{
    size_t most = wide ? 16 : 8;
    while (digits.size > 0 && digits.data[0] == '0') {
        digits.data++;
        digits.size--;
    }
    return digits.size < most || (digits.size == most && digits.data[0] <= '7');
}

/* False for an integer that libconfig cuts to the bits it has; what is no integer is not judged here. */
static bool number_fits(struct bytes token, bool *wide)
{
    struct bytes digits = token;
    while (digits.size > 0 && digits.data[digits.size - 1] == 'L')
        digits.size--;
    *wide = digits.size < token.size;
    if (digits.size > 2 && digits.data[0] == '0' && (digits.data[1] == 'x' || digits.data[1] == 'X'))
        return hex_fits((struct bytes){digits.data + 2, digits.size - 2}, *wide);
    if (digits.size > 0 && digits.data[0] == '+') digits = (struct bytes){digits.data + 1, digits.size - 1};
    for (size_t i = digits.size > 0 && digits.data[0] == '-' ? 1 : 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9') return true;
    while (digits.size > 1 && digits.data[0] == '0')
        digits = (struct bytes){digits.data + 1, digits.size - 1};
    int64_t value;
    return digits.size == 0 || bytes_are(digits, "-") ||
           text_parse_int64(digits, *wide ? INT64_MIN : INT32_MIN, *wide ? INT64_MAX : INT32_MAX, &value);
}

static void check_token(const char *name, int line, struct bytes token, struct config_report *report)
{
    bool wide;
    if (bytes_are(token, "@include")) {
        config_report_add(report, name, line, "@include is not supported");
    } else if (!number_fits(token, &wide)) {
        int shown = (int)token.size;
        config_report_add(report, name, line, "%.*s does not fit into %d bits%s", shown, (const char *)token.data,
                          wide ? 64 : 32, wide ? "" : ": a larger number is written with an L behind it");
    }
}

static void check_tokens(const char *name, struct bytes text, struct config_report *report)
{
    struct walk w = {.text = text, .line = 1};
    uint8_t token[TOKEN_SIZE];
    size_t size = 0;
    for (;;) {
        int line = w.line;
        char c = next(&w);
        if (in_token(c)) {
            if (size < sizeof token) token[size++] = (uint8_t)c;
            continue;
        }
        if (size > 0) check_token(name, line, (struct bytes){token, size}, report);
        size = 0;
        if (c == '\0') break;
    }
    if (w.unclosed != NULL) config_report_add(report, name, w.began, "this %s never ends", w.unclosed);
}

bool config_check_text(const char *name, struct bytes text, struct config_report *report)
{
    int problems = report->problems;
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL)
        config_report_add(report, name, 0, "holds a zero byte: this is no configuration file");
    else if (!text_is_utf8(text))
        config_report_add(report, name, 0, "is not UTF-8 text");
    else
        check_tokens(name, text, report);
    return report->problems == problems;
}
