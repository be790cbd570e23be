/* config_value.h: one value of one option: text to field, range check, lists and maps.
 * Inside config only.  SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config.h"

/* libconfig's tree of a file; a file with an empty one (NULL without memory, which is reported). */
struct config_t;
struct config_t *config_tree(struct config_file *f);
struct config_file *config_blank(const char *name, struct config_report *report);

/* What a kind is called, and what a person has to write. */
const char *config_kind_name(enum config_kind kind);
const char *config_kind_expected(enum config_kind kind);

size_t config_field_size(enum config_kind kind);

/* Stores `text` in the option's field of `out`, freeing what stood there.  False with a sentence in `error`, which
 * repeats the value only where it cannot be a secret; the field is then untouched. */
bool config_store_scalar(const struct config_option *o, struct bytes text, void *out, struct error *error);
/* Stores the default, which must be there and legal. */
bool config_store_default(const struct config_option *o, void *out, struct error *error);
/* After a problem: default, or the empty value, so that every field is legal whatever happened. */
void config_store_fallback(const struct config_option *o, void *out);

/* Appending to lists and maps; false without memory. */
bool config_list_add(struct config_list *list, struct bytes item);
bool config_map_add(struct config_map *map, struct bytes name, struct bytes value);

/* The length rule of lists and maps, once all sources had their say; true for other kinds. */
bool config_check_entries(const struct config_option *o, const void *out, struct error *error);
/* Frees what the option's field owns and zeroes it. */
void config_clear_field(const struct config_option *o, void *out);

/* Overrides the field from DRAWBRIDGE_<NAME>; a bad value is reported here. */
enum config_override { CONFIG_OVERRIDE_NONE, CONFIG_OVERRIDE_TAKEN, CONFIG_OVERRIDE_BAD };
enum config_override config_from_environment(const struct config_option *o, void *out, struct config_report *report);
/* DRAWBRIDGE_HTTP_BODY_MAX for "http.body_max". */
enum { CONFIG_VARIABLE_SIZE = 256 };
void config_variable_name(const char *option, char out[CONFIG_VARIABLE_SIZE]);
