/* handshake.h: what providers ask beside deliveries, and what they are told.  Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "buffer.h"
#include "config.h"
#include "scheme.h"

enum { HANDSHAKE_NONE = -1, HANDSHAKE_ORIGIN_SIZE = 254 };

struct handshake_policy {      /* of a trigger */
    unsigned kinds;            /* bits 1 << enum scheme_handshake */
    struct bytes verify_token; /* empty: none */
    const struct config_list *origins, *topic_arns;
    /* HMAC-SHA256 under the current secret; NULL: there is none. */
    bool (*hmac)(const void *ctx, struct bytes text, int64_t now_s, uint8_t mac[32]);
    const void *hmac_ctx;
};
struct handshake_question { /* views of the request */
    struct bytes method, query /* raw */, body /* once it is whole */;
    size_t (*find)(void *ctx, const char *name, struct bytes *value); /* as in struct scheme_request */
    void *ctx;
    bool bodyless; /* by its head */
    int64_t now_s;
};
enum handshake_verdict {
    HANDSHAKE_ANSWERED,
    HANDSHAKE_MALFORMED,  /* 400 */
    HANDSHAKE_REFUSED,    /* 403 */
    HANDSHAKE_NO_CONSENT, /* 405 */
    HANDSHAKE_UNABLE,     /* ours: 503 */
};
struct handshake_answer {
    enum handshake_verdict verdict;
    int status;                         /* when answered */
    const char *content_type;           /* NULL: no body */
    const char *reason;                 /* when not answered; static */
    char origin[HANDSHAKE_ORIGIN_SIZE]; /* of a consent, else "" */
};
/* HANDSHAKE_NONE when there is no such kind. */
int handshake_kind(struct bytes name);
/* The kinds that are signed as deliveries are. */
unsigned handshake_signed_kinds(void);
/* Which of the declared kinds the request asks for, or HANDSHAKE_NONE: at its head the unsigned ones, after its
 * verification the signed ones. */
int handshake_asked(unsigned declared, const struct handshake_question *q, bool verified);
/* Answers; `body` holds what is to be sent. */
void handshake_answer(int kind, const struct handshake_policy *policy, const struct handshake_question *q,
                      struct buffer *body, struct handshake_answer *answer);
/* NULL, or why a verified body may not be a delivery here: x-crc hands out MACs of other texts. */
const char *handshake_refuses_delivery(const struct handshake_policy *policy, struct bytes body);
