/* listen.c: the senders' listener: its certificate, its socket, how many connections fit, and root given up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "ingress.h"
#include "log.h"
#include "privileges.h"
#include "tls.h"
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_KEPT = 128 }; /* for brokers, the management listener, files and the loop's own */

/* ---- the certificate ---- */

static struct tls_identity *load_identity(const struct settings *s, struct error *error)
{
    struct tls_identity *identity = tls_identity_load(s->tls_certificate, s->tls_key, error);
    if (!identity) error_context(error, "http.tls_certificate, http.tls_key");
    return identity;
}

bool listen_load_tls(struct ingress *in, struct config_report *report)
{
    struct error error;
    if (in->settings.tls_certificate[0] == 0) return true;
    in->tls = load_identity(&in->settings, &error);
    if (!in->tls) config_report_add(report, "certificate", 0, "%s", error.text);
    return in->tls != NULL;
}

/* The identity that new connections get, told to the metrics and the log. */
static void announce_identity(struct ingress *in)
{
    char until[TEXT_TIME_SIZE];
    int64_t expires_s = tls_identity_expires_s(in->tls);
    const char *warning = tls_identity_warning(in->tls, clock_wall_us() / 1000000);
    text_format_time(expires_s * 1000000, until);
    metrics_set(in->metrics, METRIC_TLS_EXPIRY, expires_s);
    log_event(warning ? LOG_WARN : LOG_INFO, "certificate", log_text("file", in->settings.tls_certificate),
              log_text("valid_until", until), log_text("warning", warning ? warning : "none"));
}

void listen_reload(struct ingress *in)
{
    struct error error;
    if (!in->tls) return;
    struct tls_identity *fresh = load_identity(&in->settings, &error);
    if (!fresh) {
        metrics_add(in->metrics, METRIC_TLS_RELOAD_FAILURES, 1);
        log_event(LOG_ERROR, "certificate kept as it was", log_text("error", error.text));
        return;
    }
    http_server_set_tls(in->server, fresh);
    tls_identity_unref(in->tls);
    in->tls = fresh;
    announce_identity(in);
}

/* ---- root ---- */

/* What root could read at the start the user may not be able to read again. */
static void check_reload(struct ingress *in)
{
    struct error error;
    struct tls_identity *again = in->tls ? load_identity(&in->settings, &error) : NULL;
    if (in->tls && !again)
        log_event(LOG_WARN, "SIGHUP will not be able to read the certificate again",
                  log_text("user", in->settings.user), log_text("error", error.text));
    tls_identity_unref(again);
}

static bool give_up_root(struct ingress *in, struct error *error)
{
    if (in->settings.user[0] == 0) {
        if (privileges_held()) log_event(LOG_WARN, "this runs as root", log_text("better", "set `user`"));
        return true;
    }
    if (!privileges_drop(in->settings.user, error)) return false;
    log_event(LOG_INFO, "privileges dropped", log_text("user", in->settings.user), log_int("uid", getuid()));
    check_reload(in);
    return true;
}

/* ---- the socket ---- */

/* connections_max, or what the limit of descriptors leaves; at the limit itself nothing could be opened any more. */
static int64_t connections_that_fit(const struct settings *s)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return s->connections_max;
    int64_t fit = (int64_t)limit.rlim_cur - DESCRIPTORS_KEPT;
    if (fit < 1) fit = 1;
    if (fit >= s->connections_max) return s->connections_max;
    log_event(LOG_WARN, "the limit of descriptors is too low for connections_max",
              log_int("descriptors", (int64_t)limit.rlim_cur), log_int("connections_max", s->connections_max),
              log_int("connections", fit), log_text("better", "raise LimitNOFILE or ulimit -n"));
    return fit;
}

bool listen_open(struct ingress *in, struct error *error)
{
    const struct settings *s = &in->settings;
    const struct http_server_settings settings = {.listener = {.listen = s->listen,
                                                               .reuse_port = s->reuse_port,
                                                               .mode = s->socket_mode,
                                                               .group = s->socket_group},
                                                  .tls = in->tls,
                                                  .connections_max = connections_that_fit(s),
                                                  .head_max = s->head_max,
                                                  .header_timeout_ms = s->header_timeout_ms,
                                                  .body_timeout_ms = s->body_timeout_ms,
                                                  .idle_timeout_ms = s->idle_timeout_ms};
    const struct http_app app = {.ctx = in,
                                 .head = webhook_head,
                                 .body = webhook_body,
                                 .complete = webhook_complete,
                                 .done = webhook_done,
                                 .malformed = webhook_malformed};
    in->server = http_server_new(&settings, &app, error);
    if (!in->server) return error_context(error, "http");
    if (in->tls) announce_identity(in);
    return give_up_root(in, error);
}
