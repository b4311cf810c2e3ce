/*
 * What the tests of pages share: two pages of an upstream, and the two things that are done with a
 * page here. It is written anew in capitals, or searched for a line "name url digest size". Both
 * refuse a page with the byte PAGE_FLAW in it.
 */
#ifndef YT_TESTS_PAGE_KIT_H
#define YT_TESTS_PAGE_KIT_H

#include "base/gzip.h"
#include "engine_kit.h"

#include <assert.h>
#include <ctype.h>

enum { PAGE_FLAW = 1, PAGE_LINE_MAX = 512, SMALL = 5000, LARGE = 300000 };

static const struct act honest;

/* --- the readers --- */

/* While it is shut, whoever reads stands before it. Open when a test begins. */
static atomic_bool reader_gate = true;
static atomic_int readers_waiting;
static atomic_bool reader_memory_is_out;

struct page_state {
    const struct plan_reading *reading;
    char line[PAGE_LINE_MAX];
    size_t n;
};

static inline void *page_begin(const struct plan_reading *reading)
{
    struct page_state *s = atomic_load(&reader_memory_is_out) ? NULL : calloc(1, sizeof *s);
    if (s)
        s->reading = reading;
    return s;
}

static inline void page_free(void *state)
{
    free(state);
}

static inline void pass_reader_gate(void)
{
    atomic_fetch_add(&readers_waiting, 1);
    wait_open(&reader_gate);
    atomic_fetch_sub(&readers_waiting, 1);
}

static inline enum err shout_feed(void *state, struct slice bytes, struct buf *out)
{
    const struct page_state *s = state;
    assert(!s->reading->fact);
    pass_reader_gate();
    for (size_t i = 0; i < bytes.n; i++) {
        char c = (char)toupper((unsigned char)bytes.p[i]);
        if (c == PAGE_FLAW)
            return ERR_CORRUPT;
        buf_add(out, slice_of(&c, 1));
    }
    return ERR_OK;
}

#define SHOUT_END "END\n"

static inline enum err shout_finish(void *state, struct buf *out)
{
    (void)state;
    buf_add(out, SLICE(SHOUT_END));
    return ERR_OK;
}

static const struct plan_reader shout = {page_begin, shout_feed, shout_finish, page_free};

/* "name url digest size"; "-" stands for no digest, and for no size. */
static inline void find_in_line(const struct page_state *s)
{
    char name[64], url[256], digest[160], size[24];
    struct plan_fact *fact = s->reading->fact;
    if (sscanf(s->line, "%63s %255s %159s %23s", name, url, digest, size) != 4 ||
        !slice_eq(slice_str(name), s->reading->plan->wanted))
        return;
    fact->found = true;
    fact->url = arena_copy(s->reading->arena, slice_str(url));
    fact->foreign = strncmp(url, "http://127.0.0.1:", 17) != 0;
    if (digest_parse(slice_str(digest), &fact->digest) != ERR_OK)
        fact->digest.algo = DIGEST_NONE;
    fact->has_size = slice_u64(slice_str(size), &fact->size);
}

static inline enum err find_feed(void *state, struct slice bytes, struct buf *out)
{
    struct page_state *s = state;
    assert(!out); /* of a thread of the pool */
    pass_reader_gate();
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] == PAGE_FLAW)
            return ERR_CORRUPT;
        s->line[s->n] = bytes.p[i] == '\n' ? '\0' : bytes.p[i];
        if (bytes.p[i] != '\n') {
            s->n += s->n + 1 < sizeof s->line;
            continue;
        }
        find_in_line(s);
        s->n = 0;
    }
    return ERR_OK;
}

/* A page ends with the end of a line. */
static inline enum err find_finish(void *state, struct buf *out)
{
    const struct page_state *s = state;
    assert(!out);
    return s->n ? ERR_CORRUPT : ERR_OK;
}

static const struct plan_reader finder = {page_begin, find_feed, find_finish, page_free};

/* --- the pages --- */

static struct origin the_page, the_other_page;

/* Lines that name nothing, `n` bytes of them; with `names` at their end. */
static inline void page_put(struct origin *page, unsigned version, size_t n, const char *names)
{
    size_t more = strlen(names);
    char *text = malloc(n + more + 1);
    fill_with_noise(text, n, version);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i % 64 == 63 || i + 1 == n ? '\n' : 'a' + (unsigned char)text[i] % 26);
    memcpy(text + n, names, more);
    origin_put(page, text, n + more, version);
}

/* The page gets a flaw at `at`, and another version. */
static inline void page_spoil(struct origin *page, unsigned version, size_t n, size_t at)
{
    page_put(page, version, n, "");
    pthread_mutex_lock(&page->lock);
    page->bytes[at] = PAGE_FLAW;
    pthread_mutex_unlock(&page->lock);
}

static inline char *gzip_of(const char *bytes, size_t n, size_t *coded)
{
    struct buf out;
    struct deflater *d = deflater_new();
    buf_init(&out, 1 << 20);
    assert_int_equal(deflater_feed(d, slice_of(bytes, n), &out), ERR_OK);
    assert_int_equal(deflater_finish(d, &out), ERR_OK);
    deflater_free(&d);
    char *p = malloc(out.n);
    memcpy(p, out.p, out.n);
    *coded = out.n;
    buf_free(&out);
    return p;
}

#define GZIP_LINE "Content-Encoding: gzip\r\n"

/* The page goes gzip-coded from now on. */
static inline void page_code(struct origin *page, unsigned version)
{
    size_t n;
    char *coded = gzip_of(page->bytes, page->n, &n);
    origin_put(page, coded, n, version);
    origin_script(page, &(struct act){.line = GZIP_LINE}, 1);
}

static inline void page_open(struct origin *page, const char *path, unsigned version, size_t n)
{
    origin_init(page, version, 0);
    snprintf(page->path, sizeof page->path, "%s", path);
    page->type = "text/plain";
    page_put(page, version, n, "");
}

/* A site with a page of `n` bytes, another page, and a file. */
static inline void begin_pages_with(size_t n, struct site_options options)
{
    atomic_store(&reader_gate, true);
    atomic_store(&reader_memory_is_out, false);
    begin_with(LARGE, options);
    page_open(&the_page, "/v2/page", 1, n);
    page_open(&the_other_page, "/v2/other", 1, SMALL);
    snprintf(the_origin.path, sizeof the_origin.path, "/v2/file");
    the_page.next = &the_other_page;
    the_origin.next = &the_page; /* before the first request */
}

static inline void begin_pages(size_t n)
{
    begin_pages_with(n, (struct site_options){.max_size = 0});
}

static inline int pages_end(void **state)
{
    bool is_open = the_site.store != NULL;
    atomic_store(&reader_gate, true);
    kit_end(state);
    if (is_open) {
        origin_free(&the_page);
        origin_free(&the_other_page);
    }
    return 0;
}

/* --- plans --- */

#define PAGE_PLAN(kind_, path, name, credential_)                                                  \
    {                                                                                              \
        .kind = kind_, .render_error = no_page, .resource = SLICE(name),                           \
        .variant = SLICE("plain"), .upstream_path = SLICE(path), .takes_gzip = true,               \
        .accepts_any = true, .refresh = REFRESH_CONDITIONAL, .max_size = 4 << 20,                  \
        .bare_content_type = true, .check = &finder, .credential = SLICE(credential_)              \
    }

static const struct plan page_plan = PAGE_PLAN(PLAN_CACHED, "/v2/page", "page", "");
static const struct plan other_plan = PAGE_PLAN(PLAN_CACHED, "/v2/other", "other", "");
static const struct plan relayed_page_plan = PAGE_PLAN(PLAN_RELAYED, "/v2/page", "page", "");
static const struct plan anns_page_plan = PAGE_PLAN(PLAN_CACHED, "/v2/page", "page", "Basic ann");
static const struct plan bobs_page_plan = PAGE_PLAN(PLAN_CACHED, "/v2/page", "page", "Basic bob");

#define MADE_VARIANT "shout|plain"

/* The page in capitals. */
static inline void wants_made(struct guest *g, struct origin *o)
{
    (void)o;
    g->plan.resource = SLICE("made/page");
    g->plan.variant = SLICE("shout");
    g->plan.source = &page_plan;
    g->plan.rewrite = &shout;
}

static inline void wants_made_gzip(struct guest *g, struct origin *o)
{
    wants_made(g, o);
    g->plan.variant = SLICE("shout gzip");
    g->plan.gzips = true;
}

static inline void wants_made_relay(struct guest *g, struct origin *o)
{
    wants_made(g, o);
    g->plan.kind = PLAN_RELAYED;
    g->plan.source = &relayed_page_plan;
}

/* --- the file, if a page names it --- */

static inline void wants_file(struct guest *g, struct origin *o)
{
    (void)o;
    g->plan.resource = SLICE("files/file.whl");
    g->plan.upstream_path = SLICE("/v2/never/asked");
    g->plan.pages[0] = &page_plan;
    g->plan.pages[1] = &other_plan;
    g->plan.find = &finder;
    g->plan.wanted = SLICE("file.whl");
    g->plan.immutable = true;
    g->plan.head = HEAD_ASKS;
    g->plan.content_type = SLICE("application/octet-stream");
}

static inline void wants_relayed_file(struct guest *g, struct origin *o)
{
    wants_file(g, o);
    g->plan.kind = PLAN_RELAYED;
    g->plan.pages[0] = &relayed_page_plan;
    g->plan.pages[1] = NULL;
}

/* A line for the file as it is now, or with another digest or size. */
static inline void name_on(struct origin *page, unsigned version, const char *name,
                           const char *digest, size_t size)
{
    char text[DIGEST_TEXT_MAX], line[400];
    digest_text(&the_origin.digest, text);
    snprintf(line, sizeof line, "%s http://127.0.0.1:%u/v2/file %s %zu\n", name,
             the_site.server->port, digest ? digest : text, size);
    page_put(page, version, SMALL, line);
}

static inline void name_file(struct origin *page, unsigned version)
{
    name_on(page, version, "file.whl", NULL, the_origin.n);
}

static inline void begin_file(void)
{
    begin_pages(SMALL);
    name_file(&the_page, 1);
}

/* --- what is made --- */

/* `made` becomes an origin that nobody asks: the page as it is now, in capitals. */
static inline void capitals_into(struct origin *made, const struct origin *page)
{
    size_t n = page->n + strlen(SHOUT_END);
    char *text = malloc(n + 1);
    for (size_t i = 0; i < page->n; i++)
        text[i] = (char)toupper((unsigned char)page->bytes[i]);
    memcpy(text + page->n, SHOUT_END, strlen(SHOUT_END));
    origin_init(made, 1, 0);
    origin_put(made, text, n, 1);
}

/* The same, until the next one is wanted. */
static inline struct origin *capitals_of(const struct origin *page)
{
    static struct origin made;
    if (made.bytes)
        origin_free(&made);
    capitals_into(&made, page);
    return &made;
}

static inline void check_made_of(struct guest *g, const struct origin *page)
{
    check_body_of(g, capitals_of(page));
}

/* What is held under these names, beside the bytes that it should be. */
static inline enum stored stored_under(const char *resource, const char *variant,
                                       const struct origin *o)
{
    struct guest named = {.site = &the_site};
    named.plan.resource = slice_str(resource);
    named.plan.variant = slice_str(variant);
    return stored_for(&named, o);
}

/* Comes, gets those bytes, leaves; then all fills are over. */
static inline struct guest *served(int seat, wants_f *wants, struct origin *o)
{
    struct guest *g = enter(seat, wants);
    check_body_of(g, o);
    guest_leave(g);
    site_settle(&the_site);
    return g;
}

static inline struct guest *serve_made(int seat, wants_f *wants)
{
    return served(seat, wants, capitals_of(&the_page));
}

static inline struct guest *serve_file(int seat)
{
    return served(seat, wants_file, &the_origin);
}

#endif
