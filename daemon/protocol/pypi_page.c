#include "pypi_page.h"

#include <stdlib.h>

#include "file_host.h"
#include "http/request.h"
#include "pypi_reading.h"

enum {
    SCRATCH_CAP = 1024 * 1024,
    KEPT_CAP = 256 * 1024,
    JSON_DEPTH = 32,
    PROJECT_TOKEN_MAX = 1024 * 1024,
    RELEASE_TOKEN_MAX = 16 * 1024 * 1024, /* a project's description is one */
};

static const struct slice invalid_link = SLICE("about:invalid");

/* --- links --- */

static struct slice trim_blanks(struct slice s)
{
    while (s.n && strchr(" \t\n\r\f", s.p[0]) && s.p[0])
        s = slice_from(s, 1);
    while (s.n && strchr(" \t\n\r\f", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

struct slice pypi_absolute(struct pypi_reading *r, struct slice reference)
{
    struct http_url url;

    reference = trim_blanks(reference);
    reference = slice_to(reference, slice_find(reference, '#'));
    struct slice text = pypi_escape_reference(&r->scratch, reference);
    if (text.p)
        text = http_url_resolve(&r->scratch, &r->base, text);
    if (!text.p || !http_url_parse(text, &url) || !http_path_is_clean(url.path))
        return slice_of(NULL, 0);
    return text;
}

/* Brackets have no place in a path. */
static struct slice authority_in_path(struct arena *a, const struct http_url *url)
{
    if (!url->v6)
        return url->authority;
    struct slice port = slice_from(url->authority, url->host.n + sizeof "[]" - 1);
    return arena_printf(a, "%%5B%.*s%%5D%.*s", SLICE_ARG(url->host), SLICE_ARG(port));
}

static struct slice file_link(struct pypi_reading *r, struct slice absolute, struct slice fragment)
{
    struct slice base = r->of->plan->link_base;
    struct http_url url;

    if (!absolute.p || !http_url_parse(absolute, &url))
        return invalid_link;
    struct slice authority = authority_in_path(&r->scratch, &url);
    struct slice link = arena_printf(
        &r->scratch, "%.*s%.*s%.*s%s%.*s%.*s", SLICE_ARG(base), SLICE_ARG(authority),
        SLICE_ARG(url.path), url.query.p ? "?" : "", SLICE_ARG(url.query), SLICE_ARG(fragment));
    return authority.p && link.p ? link : invalid_link;
}

/* Every link of the root page leads to a project, whose name is the last part of the path. */
static struct slice project_link(struct pypi_reading *r, struct slice absolute)
{
    struct http_url url;

    if (!absolute.p || !http_url_parse(absolute, &url))
        return invalid_link;
    struct slice path = url.path;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    struct slice last = slice_from(path, slice_rfind(path, '/') + 1);
    struct slice name = pypi_normal_name(&r->scratch, last);
    struct slice link =
        name.p ? arena_printf(&r->scratch, "%.*s/", SLICE_ARG(name)) : slice_of(NULL, 0);
    return link.p ? link : invalid_link;
}

struct slice pypi_link(struct pypi_reading *r, struct slice reference)
{
    reference = trim_blanks(reference);
    size_t mark = slice_find(reference, '#');

    if (mark == 0)
        return slice_of(NULL, 0);
    struct slice absolute = pypi_absolute(r, reference);
    return r->kind == PYPI_KIND_ROOT ? project_link(r, absolute)
                                     : file_link(r, absolute, slice_from(reference, mark));
}

enum err pypi_check_version(struct slice version)
{
    return slice_eq(slice_to(version, slice_find(version, '.')), SLICE("1")) ? ERR_OK : ERR_CORRUPT;
}

/* --- a file --- */

void pypi_begin_file(struct pypi_reading *r)
{
    arena_reset(&r->scratch);
    r->file = (struct pypi_file){.has_size = false};
}

void pypi_note_digest(struct digest *best, struct slice algorithm, struct slice hex)
{
    struct digest d;

    if (digest_from_hex(algorithm, hex, &d) == ERR_OK && digest_is_stronger(d.algo, best->algo))
        *best = d;
}

/* Empty when there is no usable URL. */
static struct slice place_of(struct pypi_reading *r, struct slice absolute)
{
    struct http_url url;

    if (!absolute.p || !http_url_parse(absolute, &url))
        return SLICE("");
    return pypi_place(&r->scratch, url.authority, url.path, url.query);
}

/* The URL of what stands beside the file: the suffix goes where the client has put it. */
static struct slice beside_url(struct pypi_reading *r, struct slice absolute)
{
    struct slice suffix = pypi_suffix(r->beside);
    struct slice asked = r->wanted;
    size_t mark = slice_find(absolute, '?');

    if (mark < absolute.n && !slice_ends(slice_to(asked, slice_find(asked, '?')), suffix))
        mark = absolute.n;
    return arena_printf(&r->scratch, "%.*s%.*s%.*s", SLICE_ARG(slice_to(absolute, mark)),
                        SLICE_ARG(suffix), SLICE_ARG(slice_from(absolute, mark)));
}

static bool is_offered(const struct pypi_reading *r)
{
    switch (r->beside) {
    case PYPI_METADATA:
        return r->file.metadata == OFFER_YES;
    case PYPI_SIGNATURE:
        return r->file.signature != OFFER_NO;
    default:
        return true;
    }
}

static enum err find(struct pypi_reading *r, struct slice absolute)
{
    const struct config_route *config = r->of->plan->config;
    struct plan_fact *fact = r->of->fact;
    struct http_url url;

    fact->found = true;
    if (config && http_url_parse(absolute, &url))
        fact->foreign = !file_host_is_allowed(config, &url);
    if (config)
        absolute = file_host_as_upstream(config, &r->scratch, absolute);
    fact->url = absolute.p ? arena_copy(r->of->arena, absolute) : absolute;
    return fact->url.p ? ERR_OK : ERR_NOMEM;
}

static enum err find_file(struct pypi_reading *r)
{
    struct plan_fact *fact = r->of->fact;

    r->found_itself = true;
    fact->digest = r->file.digest;
    fact->has_size = r->file.has_size;
    fact->size = r->file.size;
    return find(r, r->file.url);
}

/* A file that is listed itself outdoes one beside which it would stand. */
enum err pypi_end_file(struct pypi_reading *r)
{
    struct plan_fact *fact = r->of->fact;

    if (!fact || !r->wanted.n || r->found_itself)
        return ERR_OK;
    struct slice place = place_of(r, r->file.url);
    if (slice_eq(place, r->wanted))
        return find_file(r);
    if (fact->found)
        return ERR_OK;
    if (slice_eq(place_of(r, r->file.provenance), r->wanted))
        return find(r, r->file.provenance);
    if (r->beside == PYPI_FILE || !place.n || !slice_eq(place, r->wanted_file) || !is_offered(r))
        return ERR_OK;
    if (r->beside == PYPI_METADATA)
        fact->digest = r->file.metadata_digest;
    struct slice url = beside_url(r, r->file.url);
    return url.p ? find(r, url) : ERR_NOMEM;
}

/* --- the reading --- */

/* Where the file is beside which the wanted one would stand; the suffix ends path or query. */
static bool set_wanted(struct pypi_reading *r)
{
    size_t mark = slice_find(r->wanted, '?');
    struct slice path = slice_to(r->wanted, mark);
    struct slice query = slice_from(r->wanted, mark);

    r->beside = pypi_take_suffix(&path);
    if (r->beside == PYPI_FILE)
        r->beside = pypi_take_suffix(&query);
    if (r->beside == PYPI_FILE)
        return true;
    r->wanted_file = arena_printf(&r->kept, "%.*s%.*s", SLICE_ARG(path), SLICE_ARG(query));
    return r->wanted_file.p != NULL;
}

static bool is_json(const struct pypi_reading *r)
{
    struct slice type = r->of->content_type;

    type = slice_trim(slice_to(type, slice_find(type, ';')));
    return r->kind == PYPI_KIND_RELEASE || slice_ieq(type, SLICE(PYPI_JSON));
}

static bool open_splice(struct pypi_reading *r)
{
    size_t token_max = r->kind == PYPI_KIND_RELEASE ? RELEASE_TOKEN_MAX : PROJECT_TOKEN_MAX;

    if (is_json(r))
        r->json = json_splice_new(JSON_DEPTH, token_max, pypi_json_event, r);
    else
        r->html = html_splice_new(pypi_html_tag, r);
    return r->json || r->html;
}

static void end(void *state)
{
    struct pypi_reading *r = state;

    html_splice_free(&r->html);
    json_splice_free(&r->json);
    buf_free(&r->text);
    arena_reset(&r->scratch);
    arena_reset(&r->kept);
    free(r);
}

static void *begin(const struct plan_reading *reading, enum pypi_kind kind)
{
    struct pypi_reading *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    if (reading->fact)
        *reading->fact = (struct plan_fact){.found = false};
    r->of = reading;
    r->kind = kind;
    r->wanted = reading->plan->wanted;
    arena_init(&r->scratch, r->scratch_first, sizeof r->scratch_first, SCRATCH_CAP);
    arena_init(&r->kept, NULL, 0, KEPT_CAP);
    buf_init(&r->text, HTML_TAG_MAX);
    if (http_url_parse(reading->url, &r->base) && set_wanted(r) && open_splice(r))
        return r;
    end(r);
    return NULL;
}

static enum err feed(void *state, struct slice bytes, struct buf *out)
{
    struct pypi_reading *r = state;

    return r->json ? json_splice_feed(r->json, bytes, out) : html_splice_feed(r->html, bytes, out);
}

static enum err finish(void *state, struct buf *out)
{
    struct pypi_reading *r = state;
    enum err result = r->json ? json_splice_finish(r->json, out) : html_splice_finish(r->html, out);

    return result == ERR_OK && r->json ? pypi_json_end(r) : result;
}

static void *begin_root(const struct plan_reading *reading)
{
    return begin(reading, PYPI_KIND_ROOT);
}

static void *begin_project(const struct plan_reading *reading)
{
    return begin(reading, PYPI_KIND_PROJECT);
}

static void *begin_release(const struct plan_reading *reading)
{
    return begin(reading, PYPI_KIND_RELEASE);
}

const struct plan_reader pypi_root_page = {begin_root, feed, finish, end};
const struct plan_reader pypi_project_page = {begin_project, feed, finish, end};
const struct plan_reader pypi_release_page = {begin_release, feed, finish, end};
