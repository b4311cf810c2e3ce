/* The head of an upstream's answer, taken line by line and bounded. Pure. */
#ifndef YT_UPSTREAM_HEAD_H
#define YT_UPSTREAM_HEAD_H

#include "base/err.h"
#include "http/fields.h"

struct answer_head {
    struct arena arena; /* holds the fields */
    int status;         /* 0: no status line yet */
    struct http_fields fields;
    size_t bytes;    /* of all lines, interim heads included */
    bool complete;   /* the empty line after the final head was taken */
    bool has_length; /* Content-Length, when it says how long the body is */
    uint64_t length;
    bool framed; /* the end of the body can be told from a broken connection */
};

struct answer_head *answer_head_new(void);
void answer_head_free(struct answer_head **head);

/*
 * Takes one line with or without its line end. Interim heads (1xx) are dropped; lines after the
 * head (trailers) are ignored. `no_body`: the request was HEAD.
 * ERR_LIMIT: more than HTTP_HEAD_MAX bytes or HTTP_FIELDS_MAX fields. ERR_PROTO: not a head, 101,
 * obs-fold, broken names or values, Content-Length that is no number or not always the same one, a
 * transfer coding other than chunked.
 */
YT_MUST_CHECK enum err answer_head_line(struct answer_head *head, struct slice line, bool no_body,
                                        struct errinfo *info);

#endif
