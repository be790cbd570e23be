/* command_environment.c: builds the environment of a command.  SPDX-License-Identifier: Apache-2.0 */
#include "command_environment.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const defaults[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                       "LANG=C.UTF-8"};

enum { IDENTITY = 3, DEFAULTS = sizeof defaults / sizeof defaults[0] };

static bool same_name(const char *a, const char *b)
{
    const size_t size = strcspn(a, "=");
    return strncmp(a, b, size) == 0 && b[size] == '=';
}

static bool has_name(char *const *environment, size_t count, const char *entry)
{
    for (size_t i = 0; i < count; i++)
        if (same_name(environment[i], entry)) return true;
    return false;
}

char **command_environment(char *const *extra, const struct command_identity *identity)
{
    size_t extra_count = 0;
    while (extra && extra[extra_count])
        extra_count++;
    const size_t workflow_size = sizeof "DRAWBRIDGE_WORKFLOW_ID=" + strlen(identity->workflow_id);
    const size_t agent_size = sizeof "DRAWBRIDGE_AGENT_ID=" + strlen(identity->agent_id);
    const size_t attempt_size = sizeof "DRAWBRIDGE_ATTEMPT=-2147483648";
    size_t defaults_size = 0;
    for (size_t i = 0; i < DEFAULTS; i++)
        defaults_size += strlen(defaults[i]) + 1;
    const size_t pointers = (IDENTITY + extra_count + DEFAULTS + 1) * sizeof(char *);
    char **environment = malloc(pointers + workflow_size + agent_size + attempt_size + defaults_size);
    if (!environment) return NULL;

    environment[0] = (char *)environment + pointers;
    environment[1] = environment[0] + workflow_size;
    environment[2] = environment[1] + agent_size;
    snprintf(environment[0], workflow_size, "DRAWBRIDGE_WORKFLOW_ID=%s", identity->workflow_id);
    snprintf(environment[1], agent_size, "DRAWBRIDGE_AGENT_ID=%s", identity->agent_id);
    snprintf(environment[2], attempt_size, "DRAWBRIDGE_ATTEMPT=%d", identity->attempt);

    size_t count = IDENTITY;
    for (size_t i = 0; i < extra_count; i++)
        if (!has_name(environment, count, extra[i])) environment[count++] = extra[i];
    char *text = environment[2] + attempt_size;
    for (size_t i = 0; i < DEFAULTS; i++) {
        if (has_name(environment, count, defaults[i])) continue;
        environment[count++] = text;
        text = stpcpy(text, defaults[i]) + 1;
    }
    environment[count] = NULL;
    return environment;
}
