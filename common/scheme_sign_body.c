/* scheme_sign_body.c: deliveries whose signature stands in their JSON: it is put in as text, the rest stays as it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "json_pointer.h"
#include "scheme_sign.h"
#include "text.h"
#include <inttypes.h>
#include <stdio.h>

enum { PIECE_MAX = 64 * 1024 };
#define CERTIFICATE_URL "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-drawbridge.pem"

/* A body on its way out, copied up to a place where something is put in. */
struct edit {
    const struct scheme_form *form;
    const struct scheme_signing *what;
    struct bytes key, body;
    size_t copied;
    struct buffer *out;
};

static bool is_object(struct bytes raw)
{
    return raw.size > 1 && raw.data[0] == '{';
}

/* Puts members ("\"a\":1") behind the opening brace of an object of the body. */
static void insert(struct edit *e, struct bytes object, struct bytes members)
{
    size_t at = (size_t)(object.data - e->body.data) + 1, next = 1;
    buffer_append(e->out, e->body.data + e->copied, at - e->copied);
    e->copied = at;
    buffer_bytes(e->out, members);
    while (next + 1 < object.size && strchr(" \t\r\n", object.data[next]))
        next++;
    if (object.data[next] != '}') buffer_byte(e->out, ',');
}

static void finish(struct edit *e)
{
    buffer_append(e->out, e->body.data + e->copied, e->body.size - e->copied);
}

/* Appends `"name":"text"`, with a comma before it where there is something already. */
static void write_member(struct buffer *out, const char *name, struct bytes text)
{
    struct json_writer w;
    json_writer_init(&w, out);
    w.comma = out->size > 0;
    json_write_text(&w, name, text);
}

static bool has(struct bytes object, const char *pointer)
{
    struct bytes raw;
    return json_pointer_find(object, pointer, &raw) != JSON_ABSENT;
}

/* Appends the encoded signature of a message as a member. */
static bool write_signature(const struct edit *e, const char *name, struct bytes message, struct buffer *members,
                            struct error *error)
{
    struct buffer signature, text;
    char hex[2 * SIGNATURE_DIGEST_MAX + 1];
    bool is_private = scheme_algorithm_of(e->form)->key == MECHANISM_PUBLIC;
    buffer_init(&signature, 2048);
    buffer_init(&text, 4096);
    bool good = is_private ? scheme_sign_private(e->form, e->key, message, &signature, error)
                           : scheme_sign_digest(e->form, e->key, message, &signature, error);
    if (good && e->form->words.encoding == ENCODING_BASE64)
        text_base64(buffer_view(&signature), &text);
    else if (good)
        buffer_text(&text, (text_hex(signature.data, signature.size, hex), hex));
    if (good) write_member(members, name, buffer_view(&text));
    buffer_close(&signature);
    buffer_close(&text);
    return good;
}

static bool sign_mailgun(struct edit *e, struct buffer *members, struct error *error)
{
    struct buffer message, inner;
    char time[24];
    struct bytes token = e->what->id.size > 0 ? e->what->id : bytes_of("drawbridge");
    int size = snprintf(time, sizeof time, "%" PRId64, e->what->now_ms / 1000);
    if (has(e->body, "/signature")) return error_set(error, ERROR_INVALID, "the body has a signature already");
    buffer_init(&message, PIECE_MAX);
    buffer_init(&inner, PIECE_MAX);
    buffer_append(&message, time, (size_t)size);
    buffer_bytes(&message, token);
    write_member(&inner, "timestamp", bytes_of(time));
    write_member(&inner, "token", token);
    bool good = write_signature(e, "signature", buffer_view(&message), &inner, error);
    buffer_format(members, "\"signature\":{%s}", buffer_cstr(&inner));
    if (good) insert(e, e->body, buffer_view(members));
    buffer_close(&message);
    buffer_close(&inner);
    return good;
}

static bool sign_sns(struct edit *e, struct buffer *members, struct error *error)
{
    struct buffer message, whole;
    char time[TEXT_TIME_SIZE];
    if (has(e->body, "/Signature")) return error_set(error, ERROR_INVALID, "the body has a Signature already");
    buffer_init(&message, PROOFS_TEXT_MAX);
    buffer_init(&whole, PROOFS_TEXT_MAX);
    text_format_time(e->what->now_ms * 1000, time);
    if (!has(e->body, "/Timestamp")) write_member(members, "Timestamp", bytes_of(time));
    if (!has(e->body, "/SigningCertURL")) write_member(members, "SigningCertURL", bytes_of(CERTIFICATE_URL));
    write_member(members, "SignatureVersion", bytes_of("2"));
    struct edit draft = *e;
    draft.out = &whole;
    insert(&draft, e->body, buffer_view(members));
    finish(&draft);
    struct json *document = json_parse(buffer_view(&whole), error);
    bool good = document != NULL;
    if (good && scheme_sns_message(document, &message) != SCHEME_OK)
        good = error_set(error, ERROR_INVALID, "the body needs Type, MessageId, TopicArn and Message, each once");
    good = good && write_signature(e, "Signature", buffer_view(&message), members, error);
    if (good) insert(e, e->body, buffer_view(members));
    json_free(document);
    buffer_close(&message);
    buffer_close(&whole);
    return good;
}

/* One item of Adyen's, or one notification of Graph's. */
static bool sign_adyen_item(struct edit *e, struct bytes item, struct buffer *members, struct error *error)
{
    struct bytes more;
    struct buffer message;
    if (json_pointer_find(item, "/NotificationRequestItem", &item) != JSON_FOUND || !is_object(item))
        return error_set(error, ERROR_INVALID, "an item has no NotificationRequestItem");
    if (has(item, "/additionalData/hmacSignature"))
        return error_set(error, ERROR_INVALID, "an item has an hmacSignature already");
    buffer_init(&message, PIECE_MAX);
    bool good = scheme_adyen_message(item, &message) == SCHEME_OK ||
                error_set(error, ERROR_INVALID, "a field that is signed is no text or holds a colon");
    good = good && write_signature(e, "hmacSignature", buffer_view(&message), members, error);
    if (good && json_pointer_find(item, "/additionalData", &more) == JSON_FOUND && is_object(more)) {
        insert(e, more, buffer_view(members));
    } else if (good) {
        buffer_clear(&message);
        buffer_format(&message, "\"additionalData\":{%s}", buffer_cstr(members));
        insert(e, item, buffer_view(&message));
    }
    buffer_close(&message);
    return good;
}

static bool sign_graph_item(struct edit *e, struct bytes item, struct buffer *members, struct error *error)
{
    if (!is_object(item) || has(item, "/clientState"))
        return error_set(error, ERROR_INVALID, "an entry of value is no object, or has a clientState already");
    write_member(members, "clientState", e->key);
    insert(e, item, buffer_view(members));
    return true;
}

static bool sign_list(struct edit *e, const char *list, struct buffer *members, struct error *error)
{
    struct bytes all, item;
    bool good = true, adyen = e->form->words.algorithm == ALGORITHM_ADYEN_ITEM;
    if (json_pointer_find(e->body, list, &all) != JSON_FOUND)
        return error_set(error, ERROR_INVALID, "the body has no list %s", list + 1);
    for (int i = 0; good; i++) {
        char pointer[16];
        snprintf(pointer, sizeof pointer, "/%d", i);
        if (json_pointer_find(all, pointer, &item) != JSON_FOUND) break;
        buffer_clear(members);
        good = adyen ? sign_adyen_item(e, item, members, error) : sign_graph_item(e, item, members, error);
    }
    return good;
}

bool scheme_sign_body(const struct scheme_form *f, struct bytes key, const struct scheme_signing *what,
                      struct buffer *out, struct error *error)
{
    struct edit e = {.form = f, .what = what, .key = key, .body = what->body, .out = out};
    struct buffer members;
    if (!scheme_is_json(e.body)) return error_set(error, ERROR_INVALID, "the body is not JSON");
    for (; e.body.size > 0 && strchr(" \t\r\n", e.body.data[0]); e.body.size--)
        e.body.data++;
    if (!is_object(e.body)) return error_set(error, ERROR_INVALID, "the body is no JSON object");
    buffer_init(&members, PIECE_MAX);
    bool good = false;
    switch (f->words.algorithm) {
    case ALGORITHM_MAILGUN: good = sign_mailgun(&e, &members, error); break;
    case ALGORITHM_AWS_SNS: good = sign_sns(&e, &members, error); break;
    case ALGORITHM_ADYEN_ITEM: good = sign_list(&e, "/notificationItems", &members, error); break;
    case ALGORITHM_CLIENT_STATE: good = sign_list(&e, "/value", &members, error); break;
    default: error_set(error, ERROR_INTERNAL, "no algorithm that signs a body"); break;
    }
    if (good) finish(&e);
    buffer_close(&members);
    return good;
}
