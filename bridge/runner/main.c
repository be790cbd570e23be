/* main.c: drawbridge-runner: Kafka in, runs, Kafka out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include "log.h"
#include "runner.h"
#include "signature.h"
#include <stdio.h>

static const struct daemon_program program = {
    .name = "drawbridge-runner",
    .summary = "Runs the agents' commands for the events in Kafka and writes exactly one result for each.",
    .default_config_path = "/etc/drawbridge/runner.cfg",
    .options = settings_options,
    .help_config_more = settings_help_agents,
};

static struct settings *load(const struct daemon_options *options)
{
    struct config_report report;
    config_report_init(&report);
    struct settings *settings = settings_load(options->config_path, &report);
    fputs(buffer_cstr(&report.text), stderr);
    config_report_close(&report);
    return settings;
}

static int serve(const struct settings *settings)
{
    struct error error;
    struct runner *r = runner_open(settings, &error);
    if (!r) {
        log_event(LOG_ERROR, "can't start", log_text("reason", error.text));
        return error.code == ERROR_INVALID ? DAEMON_EXIT_CONFIGURATION : DAEMON_EXIT_FAILURE;
    }
    int exit_code = runner_run(r);
    runner_close(r);
    log_event(LOG_INFO, "stopped", log_int("exit_code", exit_code));
    return exit_code;
}

int main(int argc, char **argv)
{
    int exit_code;
    struct error error;
    struct daemon_options options;
    struct daemon_program with_options = program;
    with_options.option_count = settings_option_count;
    if (!daemon_command_line(&with_options, argc, argv, &options, &exit_code)) return exit_code;
    if (!daemon_start(&error) || !signature_init(&error)) {
        fprintf(stderr, "drawbridge-runner: %s\n", error.text);
        return DAEMON_EXIT_FAILURE;
    }
    struct settings *settings = load(&options);
    if (!settings) return DAEMON_EXIT_CONFIGURATION;
    exit_code = DAEMON_EXIT_OK;
    if (!options.check_config) {
        log_init((enum log_level)settings->log_level, (enum log_format)settings->log_format, 2);
        exit_code = serve(settings);
    }
    settings_free(settings);
    signature_close();
    return exit_code;
}
