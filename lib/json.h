/* JSON values (jansson underneath). Reading is forgiving: a missing or mistyped member is zero. */
#ifndef DSTRAIN_LIB_JSON_H
#define DSTRAIN_LIB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct json; /* a reference to a value */

struct json *json_object_new(void);
struct json *json_array_new(void);
struct json *json_parse(const char *text, size_t length,
			struct error *err); /* NULL: line, column, why */
void json_free(struct json *json);	    /* may be NULL */

/* Into an object (key given) or at the end of an array (key NULL). json_add takes `value` over. */
void json_add(struct json *to, const char *key, struct json *value);
void json_add_text(struct json *to, const char *key, const char *text); /* NULL text: null */
void json_add_count(struct json *to, const char *key, uint64_t value);
void json_add_real(struct json *to, const char *key, double value); /* not finite: null */
void json_add_bool(struct json *to, const char *key, bool value);

/* Borrowed from `json`; NULL, 0, fallback or false if there is no such member of that type. */
const struct json *json_get(const struct json *json, const char *key);
const struct json *json_at(const struct json *json, size_t i); /* of an array or object */
const char *json_key_at(const struct json *json, size_t i);    /* of an object, in order */
size_t json_size(const struct json *json);		       /* of an array or object */
const char *json_get_text(const struct json *json, const char *key);
/* Of a type that printf knows. */
unsigned long long json_get_count(const struct json *json, const char *key, uint64_t fallback);
double json_get_real(const struct json *json, const char *key, double fallback);
bool json_get_bool(const struct json *json, const char *key, bool fallback);
/* Of the value itself; it may be NULL. */
uint64_t json_count(const struct json *json, uint64_t fallback);
double json_number(const struct json *json, double fallback);
const char *json_text(const struct json *json); /* borrowed; NULL: no text */
bool json_unset(const struct json *json);	/* null */

/* Keys in the order they were added; floats with enough digits to read back the same double.
 * indent 0: one line without a line end; otherwise the last line is ended. */
void json_print(const struct json *json, size_t indent, struct buf *out);

#endif
