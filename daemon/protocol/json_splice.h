/*
 * Copies a JSON text that comes in pieces and puts other strings in place of chosen ones; all other
 * bytes, blanks and escapes included, go through as they are. What is held is a member of which
 * only the beginning has come, whatever the length of the text. Pure; one thread at a time.
 */
#ifndef YT_PROTOCOL_JSON_SPLICE_H
#define YT_PROTOCOL_JSON_SPLICE_H

#include "base/buf.h"
#include "base/json.h"

struct json_splice;

/*
 * Called for every event (base/json.h), in order. For the string value of an object's member it may
 * set *other: the text that is written instead, without quotes and not escaped, used before the
 * next event comes. other->p is NULL beforehand: the value stays as it was written. It is not
 * looked at for any other event, nor for the strings of an array. An error ends the copy and is
 * what the copy returns from then on.
 */
typedef enum err json_splice_f(void *arg, const struct json_event *event, struct slice *other);

/*
 * `max_depth` and `max_token` as json_stream_new has them; a member's name and string together may
 * take twice `max_token` as they are written (blanks between them count). NULL: no memory.
 */
struct json_splice *json_splice_new(unsigned max_depth, size_t max_token, json_splice_f *on_event,
                                    void *arg);
/*
 * Appends what is ready to `out`; NULL: nothing is written and nothing held, the callback alone
 * matters (give it every time or never). ERR_CORRUPT: not JSON; ERR_LIMIT: longer or deeper than
 * the bounds; ERR_NOMEM: memory or the bound of `out`; or what the callback returned.
 */
YT_MUST_CHECK enum err json_splice_feed(struct json_splice *s, struct slice bytes, struct buf *out);
/* The text is complete, or ERR_CORRUPT; what is left goes to `out`. */
YT_MUST_CHECK enum err json_splice_finish(struct json_splice *s, struct buf *out);
void json_splice_free(struct json_splice **s);

#endif
