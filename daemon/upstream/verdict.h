/* What one answer means for the fetch that asked. Pure. */
#ifndef YT_UPSTREAM_VERDICT_H
#define YT_UPSTREAM_VERDICT_H

#include <stdbool.h>

enum verdict {
    VERDICT_NONE,     /* nothing is known yet */
    VERDICT_FINAL,    /* an answer */
    VERDICT_NEGATIVE, /* this upstream has it not, or not for us; another one may */
    VERDICT_REDIRECT,
    VERDICT_CHALLENGE, /* 401 or 403 of the upstream itself: credentials may help */
    VERDICT_FAILURE,
};

struct verdict_input {
    int status;
    bool has_location;
    bool own_origin;  /* the upstream itself answered, not where it redirected to */
    bool conditional; /* the request may be answered with 304 */
};

enum verdict verdict_of(const struct verdict_input *in);

#endif
