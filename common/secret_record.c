/* secret_record.c: the digest of a trigger record.
 * SPDX-License-Identifier: Apache-2.0 */
#include "secret_record.h"

enum { CANONICAL_MAX = 1 << 20 };

bool secret_record_digest(struct config_file *f, const char *path, uint8_t out[SIGNATURE_SHA256_SIZE])
{
    static const char *const sealed[] = {"sealed:", NULL};
    struct buffer canonical;
    buffer_init(&canonical, CANONICAL_MAX);
    bool good = config_canonical(f, path, sealed, &canonical);
    const struct bytes all = buffer_view(&canonical);
    if (good) signature_sha256(&all, 1, out);
    buffer_close(&canonical);
    return good;
}
