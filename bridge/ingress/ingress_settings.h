/* ingress_settings.h: the options of drawbridge-ingress.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "address.h"
#include "config.h"
#include "error.h"
#include "kafka.h"
#include "secret_sealed.h"
#include <sys/types.h>

/* ---- settings.c: the option table ---- */

struct settings {
    char *listen, *prefix, *public_url;
    bool reuse_port;
    char *socket_mode_text, *socket_group;
    char *tls_certificate, *tls_key; /* "": plain HTTP */
    char *user;
    struct config_list trusted_proxies;
    int64_t body_max, head_max, inflight_body_max, requests_max, connections_max;
    int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms;
    int64_t publish_deadline_ms, queue_max;
    char *spool_directory; /* "": no spool */
    int64_t spool_size_max;
    bool spool_default;
    char *trigger_directory, *scheme_file, *trigger_topic, *key_file; /* "": none */
    struct config_list topic_allows;
    struct kafka_settings kafka;
    char *events_topic;
    char *manage_listen;
    int log_level, log_format;
    int64_t drain_ms;
    /* Derived. */
    struct network *proxies; /* trusted_proxies */
    size_t proxy_count;
    mode_t socket_mode;
    bool loopback;        /* `listen` is reachable from this machine only, and no proxy is trusted */
    struct keyring *keys; /* key_file; NULL: none */
};
extern const struct config_option settings_options[];
extern const size_t settings_option_count;
/* Reads and checks everything but the triggers; problems go to the report.  False if there were any.  settings_close
 * frees in either case. */
bool settings_load(struct settings *s, const char *path, struct config_report *report);
void settings_close(struct settings *s);
/* Reads key_file again; what was there stays when that fails. */
bool settings_load_keys(struct settings *s, struct error *error);
/* May records of the topic say "none", "env", "file" or "literal"? */
bool settings_topic_allows(const struct settings *s, const char *what);
/* True for an http or https URL; drops a slash at its end. */
bool settings_public_url(char *url);
