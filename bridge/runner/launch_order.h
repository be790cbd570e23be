/* launch_order.h: the private form between child.c and its launcher: argv in, one report out if the command never ran.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

/* The launcher's argv.  Limits are decimal, "0" as in struct command_limits.  Its environment is the command's. */
enum launch_argument {
    LAUNCH_NAME,
    LAUNCH_VERSION, /* LAUNCH_FORM: an upgrade may replace the launcher beside a running runner */
    LAUNCH_PARENT,  /* the runner's process id */
    LAUNCH_MEMORY,
    LAUNCH_CPU,
    LAUNCH_FILES,
    LAUNCH_PROCESSES,
    LAUNCH_DIRECTORY, /* "": stay */
    LAUNCH_COMMAND,   /* the command's argv from here on */
};
#define LAUNCH_FORM "1"

/* Descriptor of the report pipe in the launcher: end of file there means that the command runs. */
enum { LAUNCH_REPORT_FD = 3 };

enum launch_step {
    LAUNCH_STEP_FORM,
    LAUNCH_STEP_PRIVILEGES,
    LAUNCH_STEP_MEMORY,
    LAUNCH_STEP_CPU,
    LAUNCH_STEP_FILES,
    LAUNCH_STEP_PROCESSES,
    LAUNCH_STEP_DIRECTORY,
    LAUNCH_STEP_EXEC,
};

struct launch_report {
    int32_t step; /* enum launch_step: what failed */
    int32_t errnum;
};
