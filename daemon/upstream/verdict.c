#include "verdict.h"

static enum verdict verdict_3xx(const struct verdict_input *in)
{
    switch (in->status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return in->has_location ? VERDICT_REDIRECT : VERDICT_FAILURE;
    case 304:
        return in->conditional ? VERDICT_FINAL : VERDICT_FAILURE;
    default:
        return VERDICT_FAILURE;
    }
}

static enum verdict verdict_4xx(const struct verdict_input *in)
{
    switch (in->status) {
    case 401:
    case 403:
        /* A storage service refuses signed links that have expired: no word on the object. */
        return in->own_origin ? VERDICT_CHALLENGE : VERDICT_FAILURE;
    case 407:
    case 408:
    case 429:
        return VERDICT_FAILURE;
    case 416:
        return VERDICT_FINAL;
    default:
        return VERDICT_NEGATIVE;
    }
}

enum verdict verdict_of(const struct verdict_input *in)
{
    if (in->status < 300)
        return VERDICT_FINAL;
    if (in->status < 400)
        return verdict_3xx(in);
    if (in->status < 500)
        return verdict_4xx(in);
    return VERDICT_FAILURE;
}
