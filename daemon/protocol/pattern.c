#include "pattern.h"

/* A path that is read segment by segment; "a/" has two, of which the second is empty. */
struct segments {
    struct slice rest;
    bool more;
};

static struct segments segments_of(struct slice path)
{
    bool rooted = path.n && path.p[0] == '/';
    return (struct segments){slice_from(path, rooted), true};
}

static struct slice first(const struct segments *s)
{
    return slice_to(s->rest, slice_find(s->rest, '/'));
}

static void advance(struct segments *s)
{
    size_t at = slice_find(s->rest, '/');
    s->more = at < s->rest.n;
    s->rest = slice_from(s->rest, at + 1);
}

/* A later `*` can take whatever an earlier one could, so only the last is tried again. */
static bool covers_segment(struct slice pattern, struct slice text)
{
    size_t at = 0, i = 0, star = SIZE_MAX, resume = 0;
    while (i < text.n) {
        if (at < pattern.n && pattern.p[at] == '*') {
            star = at++;
            resume = i;
        } else if (at < pattern.n && (pattern.p[at] == '?' || pattern.p[at] == text.p[i])) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (at < pattern.n && pattern.p[at] == '*')
        at++;
    return at == pattern.n;
}

static bool is_any_depth(const struct segments *pattern)
{
    return pattern->more && slice_eq(first(pattern), SLICE("**"));
}

bool pattern_covers(struct slice pattern, struct slice path)
{
    struct segments want = segments_of(pattern), have = segments_of(path);
    struct segments after = {.more = false}, resume = {.more = false}; /* of the last `**` */
    bool deep = false;
    while (have.more) {
        if (is_any_depth(&want)) {
            advance(&want);
            after = want;
            resume = have;
            deep = true;
        } else if (want.more && covers_segment(first(&want), first(&have))) {
            advance(&want);
            advance(&have);
        } else if (deep) {
            advance(&resume);
            want = after;
            have = resume;
        } else {
            return false;
        }
    }
    while (is_any_depth(&want))
        advance(&want);
    return !want.more;
}
