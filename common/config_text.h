/* config_text.h: what libconfig would pass over in silence, found in the text before it is parsed.  Inside config only.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"

/* Reports and refuses: a zero byte (the text would end there), bytes that are not UTF-8, @include (its scanner ends the
 * process when the path is a directory), a quote or a comment that never ends (the rest of the file would not count),
 * and numbers that do not fit (4294967297 would be 1).  True if there was nothing of that kind. */
bool config_check_text(const char *name, struct bytes text, struct config_report *report);
