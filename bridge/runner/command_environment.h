/* command_environment.h: the environment a command sees: nothing of the runner's, what its agent names, who it is.
 * Pure.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "engine_command.h"

/* DRAWBRIDGE_WORKFLOW_ID, _AGENT_ID and _ATTEMPT, then `extra` ("NAME=value", may be NULL; its strings are borrowed and
 * can't replace those three), then PATH and LANG where `extra` has none.  NULL-terminated, one heap block: the caller
 * frees it with free().  NULL without memory. */
char **command_environment(char *const *extra, const struct command_identity *identity);
