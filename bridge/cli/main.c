/* main.c: the tool `drawbridge`: the tables of its sub-commands and exit codes, and --help.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "clock.h"
#include "log.h"
#include "signature.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *const commands[] = {&dev_command,    &send_command,    &verify_command,
                                                     &sign_command,   &results_command, &replay_command,
                                                     &topics_command, &trigger_command, &check_command};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const char *const exit_texts[] = {
    [CLI_OK] = "all went well",
    [CLI_NO] = "done, and the answer is no: delivery not accepted, run failed, topics drifted, configuration wrong",
    [CLI_USAGE] = "the command line is wrong; nothing was done",
    [CLI_UNAVAILABLE] = "Kafka or the ingress did not answer, or a deadline passed",
    [CLI_FAILURE] = "the operating system or a library failed",
};

static void print_exits(FILE *out)
{
    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < sizeof exit_texts / sizeof exit_texts[0]; i++)
        fprintf(out, "  %zu  %s\n", i, exit_texts[i]);
}

static void print_help(FILE *out)
{
    fputs(
        "drawbridge: the tool for developers and operators of Drawbridge: webhooks in, Kafka in the middle, durable\n"
        "agent runs out.\n\nUsage: drawbridge COMMAND [options]; drawbridge COMMAND --help tells more.\n\nCommands:\n",
        out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\nData goes to stdout, talk to stderr.\n", out);
    print_exits(out);
}

static void print_command_help(FILE *out, const struct cli_command *c)
{
    fprintf(out, "drawbridge %s: %s\n\nUsage: drawbridge %s [options]%s%s\n", c->name, c->summary, c->name,
            *c->operands != '\0' ? " " : "", c->operands);
    if (c->details != NULL) fprintf(out, "\n%s\n", c->details);
    fputs("\nOptions:\n", out);
    options_print(out, c->options, c->option_count);
    if (c->connects) {
        fputs("\nConnection:\n", out);
        options_print(out, connect_options, connect_option_count);
    }
    if (c->takes_request) {
        fputs("\nThe request:\n", out);
        options_print(out, request_options, request_option_count);
    }
    fprintf(out, "\nExamples:\n%s\n", c->examples);
    print_exits(out);
}

static const struct cli_command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static enum cli_exit command_run(const struct cli_command *command, int argc, char **argv)
{
    struct error error = {0};
    struct cli cli = {.command = command};
    void *settings = calloc(1, command->settings_size);
    if (settings == NULL) return CLI_FAILURE;
    size_t set_count = 0;
    struct cli_option_set sets[3];
    sets[set_count++] = (struct cli_option_set){command->options, command->option_count, settings};
    if (command->connects)
        sets[set_count++] = (struct cli_option_set){connect_options, connect_option_count, &cli.connection};
    if (command->takes_request)
        sets[set_count++] = (struct cli_option_set){request_options, request_option_count, &cli.request};
    int first = 0;
    enum cli_exit code = CLI_OK;
    switch (options_parse(sets, set_count, clock_wall_us(), argc, argv, &first, &error)) {
    case CLI_PARSED_HELP: print_command_help(stdout, command); goto settings;
    case CLI_PARSED_WRONG:
        talk("%s; see drawbridge %s --help", error.text, command->name);
        code = CLI_USAGE;
        goto settings;
    case CLI_PARSED: break;
    }
    cli.operands = argv + first;
    cli.operand_count = (size_t)(argc - first);
    if (cli.operand_count > command->operands_max) {
        talk("'%s' is one word too many; see drawbridge %s --help", cli.operands[command->operands_max], command->name);
        code = CLI_USAGE;
        goto settings;
    }
    code = command->run(&cli, settings);
settings:
    free(settings);
    return code;
}

int main(int argc, char **argv)
{
    if (process_launch_asked(argc, argv)) return process_launch(argc, argv);
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) return printf("drawbridge %s\n", DRAWBRIDGE_VERSION) > 0 ? CLI_OK : CLI_FAILURE;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    const struct cli_command *command = command_find(word);
    if (command == NULL) {
        if (*word != '\0') talk("unknown command '%s'", word);
        print_help(stderr);
        return CLI_USAGE;
    }

    struct error error = {0};
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* a reader that left shows as EPIPE */
    log_init(LOG_WARN, LOG_LOGFMT, STDERR_FILENO);
    if (!signature_init(&error)) return (int)talk_error(&error);
    const enum cli_exit code = command_run(command, argc - 1, argv + 1);
    signature_close();
    if (fflush(stdout) != 0 && code == CLI_OK) return CLI_FAILURE;
    return (int)code;
}
