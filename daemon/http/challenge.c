#include "http/challenge.h"

#include "chars.h"

/* Scheme names and parameter names are tokens; blanks are skipped where the grammar has OWS. */
static void skip_blanks(struct slice *s)
{
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = slice_from(*s, 1);
}

static void skip_blanks_and_commas(struct slice *s)
{
    while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t' || s->p[0] == ','))
        *s = slice_from(*s, 1);
}

static struct slice take_token(struct slice *s)
{
    size_t n = 0;
    while (n < s->n && http_char_is(s->p[n], HTTP_CHAR_TOKEN))
        n++;
    struct slice token = slice_to(*s, n);
    *s = slice_from(*s, n);
    return token;
}

static bool take_char(struct slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = slice_from(*s, 1);
    return true;
}

static bool at_element_end(struct slice s)
{
    skip_blanks(&s);
    return s.n == 0 || s.p[0] == ',';
}

/* Copies the inside of a quoted string without its backslashes; p == NULL when there is no room. */
static struct slice unescape(struct arena *a, struct slice inside)
{
    char *out = arena_alloc(a, inside.n);
    if (!out)
        return slice_of(NULL, 0);
    size_t n = 0;
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] == '\\')
            i++;
        out[n++] = inside.p[i];
    }
    return slice_of(out, n);
}

/* The string whose opening quote was taken. false: not closed, a control inside, no room. */
static bool take_quoted_rest(struct slice *s, struct arena *a, struct slice *value)
{
    bool escaped = false;
    for (size_t i = 0; i < s->n && http_char_is(s->p[i], HTTP_CHAR_VALUE); i++) {
        if (s->p[i] == '"') {
            struct slice inside = slice_to(*s, i);
            *s = slice_from(*s, i + 1);
            *value = escaped ? unescape(a, inside) : inside;
            return value->p != NULL;
        }
        if (s->p[i] == '\\') {
            escaped = true;
            if (++i == s->n || !http_char_is(s->p[i], HTTP_CHAR_VALUE))
                return false;
        }
    }
    return false;
}

static bool take_value(struct slice *s, struct arena *a, struct slice *value)
{
    if (take_char(s, '"'))
        return take_quoted_rest(s, a, value);
    *value = take_token(s);
    return value->n > 0;
}

static enum challenge_scheme scheme_of(struct slice name)
{
    if (slice_ieq(name, SLICE("Bearer")))
        return CHALLENGE_BEARER;
    return slice_ieq(name, SLICE("Basic")) ? CHALLENGE_BASIC : CHALLENGE_NONE;
}

/* Of a parameter that stands twice the first counts. */
static void set_param(struct challenge *c, struct slice name, struct slice value)
{
    struct slice *place = slice_ieq(name, SLICE("realm"))     ? &c->realm
                          : slice_ieq(name, SLICE("service")) ? &c->service
                          : slice_ieq(name, SLICE("scope"))   ? &c->scope
                          : slice_ieq(name, SLICE("error"))   ? &c->error
                                                              : NULL;
    if (place && !place->p)
        *place = value;
}

/* token68 in place of parameters ("Negotiate YII="), behind the scheme's blank. */
static bool skip_token68(struct slice *s)
{
    struct slice rest = *s;
    size_t n = 0;
    while (n < rest.n && (http_char_is(rest.p[n], HTTP_CHAR_TOKEN) || rest.p[n] == '/'))
        n++;
    while (n > 0 && n < rest.n && rest.p[n] == '=')
        n++;
    rest = slice_from(rest, n);
    if (n == 0 || !at_element_end(rest))
        return false;
    *s = rest;
    return true;
}

enum param_result { PARAM_TAKEN, PARAM_NONE, PARAM_BROKEN };

/* One name=value; PARAM_NONE leaves *s as it is: the end, or the next challenge's scheme. */
static enum param_result take_param(struct slice *s, struct arena *a, struct challenge *c)
{
    struct slice rest = *s, value;
    struct slice name = take_token(&rest);
    skip_blanks(&rest);
    if (name.n == 0 || !take_char(&rest, '='))
        return PARAM_NONE;
    skip_blanks(&rest);
    if (!take_value(&rest, a, &value) || !at_element_end(rest))
        return PARAM_BROKEN;
    set_param(c, name, value);
    *s = rest;
    return PARAM_TAKEN;
}

/* Takes one whole challenge off *s; false when what stands there is none. */
static bool take_challenge(struct slice *s, struct arena *a, struct challenge *c)
{
    *c = (struct challenge){.scheme = CHALLENGE_NONE};
    struct slice name = take_token(s);
    if (name.n == 0)
        return false;
    c->scheme = scheme_of(name);
    if (at_element_end(*s))
        return true;
    if (s->p[0] != ' ')
        return false;
    skip_blanks(s);
    if (skip_token68(s))
        return true;

    enum param_result result = take_param(s, a, c);
    if (result == PARAM_NONE)
        return false; /* a scheme and a blank promise something */
    while (result == PARAM_TAKEN) {
        skip_blanks_and_commas(s);
        result = take_param(s, a, c);
    }
    return result != PARAM_BROKEN;
}

/* A Bearer challenge without a realm names no place to get a token from. */
static bool is_better(const struct challenge *found, const struct challenge *best)
{
    if (found->scheme == CHALLENGE_BEARER && found->realm.n == 0)
        return false;
    return found->scheme > best->scheme;
}

void challenge_find(const struct http_fields *fields, struct arena *a, struct challenge *out)
{
    *out = (struct challenge){.scheme = CHALLENGE_NONE};
    for (size_t i = 0; i < fields->n; i++) {
        if (fields->v[i].id != HF_WWW_AUTHENTICATE)
            continue;
        struct slice line = fields->v[i].value;
        struct challenge found;
        skip_blanks_and_commas(&line);
        while (line.n > 0 && take_challenge(&line, a, &found)) {
            if (is_better(&found, out))
                *out = found;
            skip_blanks_and_commas(&line);
        }
    }
}
