/* privileges.h: from root to an ordinary user, for good.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "error.h"

/* True while this process is root's. */
bool privileges_held(void);
/* Becomes `user` with that user's groups, gives every capability up, takes no new privileges, and verifies that there
 * is no way back.  After an error the process may be anything in between: end it.  Where it is that user already
 * nothing happens; as another ordinary user it fails.  Start-up only, before any thread. */
bool privileges_drop(const char *user, struct error *error);
