/* scheme_load.h: one scheme from its words; for scheme.c and --help-config alone.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "scheme_words.h"

/* The words, `aliases` left out, for the reference page. */
extern const struct config_option scheme_word_options[];
extern const size_t scheme_word_count;

struct scheme_place {
    struct config_file *file;
    struct config_report *report;
    const char *path;
    bool in_set; /* it may have aliases */
};
/* Fills a zeroed scheme (all but its name) from the words at that place, over those of `base`.  False with problems in
 * the report; scheme_close frees in any case. */
bool scheme_load(struct scheme *s, const struct scheme *base, const struct scheme_place *place);
void scheme_close(struct scheme *s);
