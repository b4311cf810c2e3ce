/*
 * Random interleavings of guests who want pages made anew, and files that the pages name, with
 * faults of the upstream, departures and stops in between, from fixed seeds. Whatever happens:
 * nobody completes a wrong body, nothing wrong is stored, every fill and every reading ends.
 */
#include "page_kit.h"

enum { ROUNDS = 5, PLACES = 12, GUESTS_EACH = 6, SIZE_MAX_EACH = 70000, CASTS = 3 };

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice_state >> 33) % sides;
}

/* A page, and the file that it names. */
struct place {
    struct origin page, file;
    struct plan plan, relayed;
    struct origin made; /* what the page becomes */
    char name[16], path[32], made_name[24], file_name[24];
};

static struct place places[PLACES];
static unsigned completed, broken_off;

static struct act random_act(size_t n)
{
    struct act a = {.framing = (enum framing)dice(2), .no_etag = dice(2)};
    switch (dice(8)) {
    case 0:
        a.status = dice(2) ? 404 : 500;
        break;
    case 1:
        a.line = GZIP_LINE; /* which it is not */
        break;
    case 2:
    case 3:
        a.until = n ? dice((unsigned)n) : 0;
        a.ending = dice(2) ? CUTS : RESETS;
        break;
    default:
        break;
    }
    return a;
}

static void random_script(struct origin *o)
{
    struct act acts[CASTS + 1];
    memset(acts, 0, sizeof acts);
    for (int i = 0; i < CASTS; i++)
        acts[i] = random_act(o->n);
    origin_script(o, acts, CASTS + 1);
}

static void open_place(struct place *p, unsigned i, struct origin *next)
{
    char line[400], text[DIGEST_TEXT_MAX];
    snprintf(p->name, sizeof p->name, "page-%u", i);
    snprintf(p->path, sizeof p->path, "/v2/page-%u", i);
    snprintf(p->made_name, sizeof p->made_name, "made/%u", i);
    snprintf(p->file_name, sizeof p->file_name, "file/%u", i);
    origin_init(&p->file, i + 2, dice(4) ? dice(SIZE_MAX_EACH) : dice(3));
    snprintf(p->file.path, sizeof p->file.path, "/v2/file-%u", i);
    page_open(&p->page, p->path, i, 0);
    snprintf(line, sizeof line, "file.whl http://127.0.0.1:%u%s %s %zu\n", the_site.server->port,
             p->file.path, digest_text(&p->file.digest, text).p, p->file.n);
    page_put(&p->page, i, dice(4) ? dice(SIZE_MAX_EACH) : 0, line);
    capitals_into(&p->made, &p->page);
    random_script(&p->page);
    random_script(&p->file);
    p->page.next = &p->file;
    p->file.next = next;
    p->plan = page_plan;
    p->plan.resource = slice_str(p->name);
    p->plan.upstream_path = slice_str(p->path);
    p->relayed = p->plan;
    p->relayed.kind = PLAN_RELAYED;
}

static void open_round(void)
{
    begin_pages(1);
    the_site.route.ttl_ms = dice(2) ? 0 : 60000;
    the_site.route.negative_ttl_ms = 5;
    for (unsigned i = 0; i < PLACES; i++)
        open_place(&places[i], i, i + 1 < PLACES ? &places[i + 1].page : NULL);
    the_other_page.next = &places[0].page; /* before the first request */
}

static void close_round(void)
{
    pages_end(NULL);
    for (unsigned i = 0; i < PLACES; i++) {
        origin_free(&places[i].page);
        origin_free(&places[i].file);
        origin_free(&places[i].made);
    }
}

/* One who wants the page, or the file; in `want` what is right. */
static struct guest *random_guest(struct place *p, struct origin **want)
{
    bool relayed = dice(5) == 0;
    bool file = dice(2);
    struct guest *g = new_guest((int)dice(SEATS), file ? wants_file : wants_made);
    *want = file ? &p->file : &p->made;
    g->plan.resource = slice_str(file ? p->file_name : p->made_name);
    g->plan.pages[0] = file ? relayed ? &p->relayed : &p->plan : NULL;
    g->plan.pages[1] = NULL;
    g->plan.source = file ? NULL : relayed ? &p->relayed : &p->plan;
    g->plan.kind = relayed ? PLAN_RELAYED : PLAN_CACHED;
    g->lookup.head_only = dice(10) == 0;
    if (dice(8) == 0)
        g->appetite = dice(1000);
    return g;
}

static void check_guest(struct guest *g, const struct origin *want)
{
    guest_wait_ready(g);
    if (g->appetite != UINT64_MAX && g->state == LOOKUP_ANSWER)
        guest_eats(g, UINT64_MAX);
    guest_wait_end(g);
    assert_int_equal(g->readies, 1);
    if (!seen(g, complete)) {
        broken_off++;
        return;
    }
    completed++;
    if (g->lookup.head_only)
        return;
    assert_int_equal(g->n, want->n);
    if (g->n)
        assert_memory_equal(g->body, want->bytes, g->n);
}

static void play_round(bool to_the_end)
{
    static struct guest *guests[PLACES][GUESTS_EACH];
    static struct origin *wants[PLACES][GUESTS_EACH];
    for (int k = 0; k < GUESTS_EACH; k++) {
        for (int i = 0; i < PLACES; i++) {
            guests[i][k] = random_guest(&places[i], &wants[i][k]);
            guest_enter(guests[i][k]);
            if (k && dice(3) == 0)
                guest_leave(guests[i][k - 1]);
        }
        kit_sleep(dice(10));
    }
    for (int i = 0; to_the_end && i < PLACES; i++)
        for (int k = 0; k < GUESTS_EACH; k++)
            if (guests[i][k]->present)
                check_guest(guests[i][k], wants[i][k]);
    for (int i = 0; i < PLACES; i++) {
        assert_int_not_equal(stored_under(places[i].made_name, MADE_VARIANT, &places[i].made),
                             STORED_WRONG);
        assert_int_not_equal(stored_under(places[i].name, "plain", &places[i].page), STORED_WRONG);
        assert_int_not_equal(stored_under(places[i].file_name, "", &places[i].file), STORED_WRONG);
    }
}

/* Every third round the cache is stopped with guests in the house. */
static void test_pages_and_files_in_a_storm(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        dice_state = 20261123 + round;
        open_round();
        play_round(round % 3 != 0);
        close_round();
    }
    /* It was a storm, and most came through. */
    assert_in_range(broken_off, 20, completed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_pages_and_files_in_a_storm, pages_end),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
