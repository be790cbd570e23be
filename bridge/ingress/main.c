/* main.c: drawbridge-ingress: HTTP in, Kafka out.  Parse, load, build, run, tear down in reverse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ingress.h"
#include "log.h"
#include "signature.h"
#include <unistd.h>

static const struct daemon_program program = {
    .name = "drawbridge-ingress",
    .summary = "Takes signed webhooks over HTTP and answers 202 once Kafka has them.",
    .default_config_path = "/etc/drawbridge/ingress.cfg",
    .options = settings_options,
    .help_config_more = trigger_source_help,
};

/* Settings, schemes and triggers; every problem of all three. */
static bool load(struct ingress *in, const char *path, struct config_report *report)
{
    if (!ingress_configure(in, path, report)) return false;
    in->triggers = trigger_source_load(&in->settings, in->schemes, report);
    return listen_load_tls(in, report) && in->triggers != NULL;
}

static int run(struct ingress *in)
{
    struct error error;
    log_init((enum log_level)in->settings.log_level, (enum log_format)in->settings.log_format, STDERR_FILENO);
    if (ingress_open(in, &error)) return ingress_run(in);
    log_event(LOG_ERROR, "start", log_text("error", error.text));
    return DAEMON_EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct ingress in = {.notify = {.fd = -1}};
    struct daemon_program with_count = program;
    struct daemon_options options;
    struct config_report report;
    struct error error;
    int code = DAEMON_EXIT_FAILURE;
    if (judge_asked(argc, argv)) return judge_run(argc, argv);
    with_count.option_count = settings_option_count;
    if (!daemon_command_line(&with_count, argc, argv, &options, &code)) return code;
    if (!daemon_start(&error) || !signature_init(&error)) {
        fprintf(stderr, "drawbridge-ingress: %s\n", error.text);
        return DAEMON_EXIT_FAILURE;
    }
    config_report_init(&report);
    if (!load(&in, options.config_path, &report)) {
        fputs(buffer_cstr(&report.text), stderr);
        code = DAEMON_EXIT_CONFIGURATION;
    } else {
        code = options.check_config ? DAEMON_EXIT_OK : run(&in);
    }
    config_report_close(&report);
    ingress_close(&in);
    signature_close();
    return code;
}
