/* secret_record.h: what the sealed secrets of a trigger record are bound to: everything else that the record says.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"
#include "signature.h"

/* SHA-256 of the canonical text of the settings at `path`, with nothing of the sealed texts but that they are sealed.
 * So a record may be written in other words of the same meaning, but no setting of it changed without the key that
 * sealed its secrets.  False without memory, or when nothing stands at the path. */
bool secret_record_digest(struct config_file *f, const char *path, uint8_t out[SIGNATURE_SHA256_SIZE]);
