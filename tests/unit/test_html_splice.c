#include "daemon/protocol/html_splice.c"

#include "http_test.h"

enum { OUT_CAP = 1024 * 1024 };

/* "a": its first attribute becomes X; "drop": goes; "bad": an error; all are noted in a log. */
static enum err note_tag(void *arg, const struct html_tag *tag, struct html_edit *edit)
{
    struct buf *log = arg;

    buf_addf(log, "<%.*s", SLICE_ARG(tag->name));
    for (size_t i = 0; i < tag->count; i++)
        buf_addf(log, "|%.*s=%.*s", SLICE_ARG(tag->attributes[i].name),
                 SLICE_ARG(tag->attributes[i].value));
    buf_addc(log, '>');
    edit->drop = slice_ieq(tag->name, SLICE("drop"));
    if (slice_ieq(tag->name, SLICE("a")))
        edit->value = SLICE("\"X&");
    return slice_ieq(tag->name, SLICE("bad")) ? ERR_LIMIT : ERR_OK;
}

static enum err copy_in_steps(struct slice text, size_t step, struct buf *log, struct buf *out)
{
    struct html_splice *s = html_splice_new(note_tag, log);
    enum err result = ERR_OK;

    assert_non_null(s);
    while (text.n && result == ERR_OK) {
        result = html_splice_feed(s, slice_to(text, step), out);
        text = slice_from(text, step);
    }
    enum err end = html_splice_finish(s, out);
    if (result != ERR_OK)
        assert_int_equal(end, result);
    html_splice_free(&s);
    return end;
}

#define X "\"&quot;X&amp;\""

/* `log`: the start tags as they were seen. `want` NULL: the text goes through as it is. */
static const struct {
    const char *text;
    const char *log;
    const char *want;
} cases[] = {
    {"", "", NULL},
    {"plain text \xff & < 3 <", "", NULL},
    {"<p>x</p>", "<p>", NULL},
    {"<a href=\"u\">t</a>", "<a|href=u>", "<a href=" X ">t</a>"},
    {"<A\n HREF = 'u>v' data-x=1>", "<A|HREF=u>v|data-x=1>", "<A\n HREF = " X " data-x=1>"},
    {"<a href=u/v>", "<a|href=u/v>", "<a href=" X ">"},
    {"<a href=u\"v'>", "<a|href=u\"v'>", "<a href=" X ">"},
    {"<a/href=\"u\"/>", "<a|href=u>", "<a/href=" X "/>"},
    {"<a href=\"u\"id=x>", "<a|href=u|id=x>", "<a href=" X "id=x>"},
    {"<a href>", "<a|href=>", "<a href=" X ">"},
    {"<a href=>", "<a|href=>", "<a href=" X ">"},
    {"<a href= >", "<a|href=>", "<a href= " X ">"},
    {"<a =x=\"1\" b\"c=d>", "<a|=x=1|b\"c=d>", "<a =x=" X " b\"c=d>"},
    {"<a b c = d>", "<a|b=|c=d>", "<a b=" X " c = d>"},
    {"<a>", "<a>", NULL},
    {"<ab href=u>", "<ab|href=u>", NULL},
    {"<<a h=u>", "<a|h=u>", "<<a h=" X ">"},
    {"< a h=u>", "", NULL},
    {"x<drop h=u>y<drop>z", "<drop|h=u><drop>", "xyz"},
    {"<!DOCTYPE html><?xml x?><!x><a h=u>", "<a|h=u>", "<!DOCTYPE html><?xml x?><!x><a h=" X ">"},
    {"</a h=u></><p>", "<p>", NULL},
    {"<!-- <a h=u> --><p>", "<p>", NULL},
    {"<!----><p><!--x--!><p><!--><p><!---><p>", "<p><p><p><p>", NULL},
    {"<!-- - -- -> --x> ---><p>", "<p>", NULL},
    {"<!--!> <a h=u> --><p>", "<p>", NULL},
    {"<!-x> <p> <!- -><p>", "<p><p>", NULL},
    {"<script>if (1<2) '<a h=u>' </scrip> </scriptx> <</script ><p>", "<script><p>", NULL},
    {"<STYLE x><!-- </style/><p></style><p>", "<STYLE|x=><p><p>", NULL},
    {"<title><a h=u></title>", "<title><a|h=u>", "<title><a h=" X "></title>"},
    {"<a \xc3\xa4=\"\xff\">", "<a|\xc3\xa4=\xff>", "<a \xc3\xa4=" X ">"},
};

static void test_only_chosen_attributes_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].text;
        for (size_t step = 1; step <= strlen(text) + 1; step++) {
            struct buf out, log;
            buf_init(&out, OUT_CAP);
            buf_init(&log, OUT_CAP);
            assert_int_equal(copy_in_steps(slice_str(text), step, &log, &out), ERR_OK);
            check_slice(text, buf_slice(&log), slice_str(cases[i].log));
            check_slice(text, buf_slice(&out), slice_str(cases[i].want ? cases[i].want : text));
            buf_clear(&log);
            assert_int_equal(copy_in_steps(slice_str(text), step, &log, NULL), ERR_OK);
            check_slice(text, buf_slice(&log), slice_str(cases[i].log));
            buf_free(&out);
            buf_free(&log);
        }
    }
}

static const struct {
    const char *text;
    enum err want;
} broken_cases[] = {
    {"<a href=\"u", ERR_CORRUPT},    {"<a", ERR_CORRUPT},        {"<a href", ERR_CORRUPT},
    {"<a href=\"u\" ", ERR_CORRUPT}, {"<!-- x --", ERR_CORRUPT}, {"<!", ERR_CORRUPT},
    {"<!DOCTYPE", ERR_CORRUPT},      {"</a", ERR_CORRUPT},       {"<script>x", ERR_CORRUPT},
    {"<style></style", ERR_CORRUPT}, {"<p><bad><p>", ERR_LIMIT},
};

static void test_an_error_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken_cases / sizeof broken_cases[0]; i++) {
        struct slice text = slice_str(broken_cases[i].text);
        for (size_t step = 1; step <= text.n; step++) {
            struct buf log;
            buf_init(&log, OUT_CAP);
            assert_int_equal(copy_in_steps(text, step, &log, NULL), broken_cases[i].want);
            buf_free(&log);
        }
    }
}

static void add_repeated(struct buf *b, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_add(b, slice_str(piece));
}

static void test_tags_are_bounded(void **state)
{
    struct buf text, log;

    (void)state;
    buf_init(&text, OUT_CAP);
    buf_init(&log, OUT_CAP);
    buf_add(&text, SLICE("<p x=\""));
    add_repeated(&text, "y", HTML_TAG_MAX - text.n - 2);
    buf_add(&text, SLICE("\">"));
    assert_int_equal(copy_in_steps(buf_slice(&text), 1000, &log, NULL), ERR_OK);
    buf_clear(&text);
    buf_add(&text, SLICE("<p x=\""));
    add_repeated(&text, "y", HTML_TAG_MAX);
    assert_int_equal(copy_in_steps(buf_slice(&text), 1000, &log, NULL), ERR_CORRUPT);
    assert_int_equal(copy_in_steps(buf_slice(&text), text.n, &log, NULL), ERR_CORRUPT);

    buf_clear(&text);
    buf_add(&text, SLICE("<p"));
    add_repeated(&text, " x", HTML_ATTRIBUTES_MAX);
    buf_addc(&text, '>');
    assert_int_equal(copy_in_steps(buf_slice(&text), 7, &log, NULL), ERR_OK);
    text.n--;
    buf_add(&text, SLICE(" x>"));
    assert_int_equal(copy_in_steps(buf_slice(&text), 7, &log, NULL), ERR_CORRUPT);
    buf_free(&text);
    buf_free(&log);
}

/* Comments, scripts and text of any length are never held. */
static void test_text_is_not_held(void **state)
{
    static const char *const openings[] = {"x", "<!--x", "<script>x", "<!DOCTYPE x"};
    char piece[4096];

    (void)state;
    memset(piece, 'x', sizeof piece);
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct buf log, out;
        buf_init(&log, OUT_CAP);
        buf_init(&out, OUT_CAP);
        struct html_splice *s = html_splice_new(note_tag, &log);
        assert_int_equal(html_splice_feed(s, slice_str(openings[i]), &out), ERR_OK);
        for (unsigned j = 0; j < 100; j++) {
            assert_int_equal(html_splice_feed(s, slice_of(piece, sizeof piece), &out), ERR_OK);
            assert_int_equal(s->held.n, 0);
        }
        assert_int_equal(out.n, strlen(openings[i]) + 100 * sizeof piece);
        html_splice_free(&s);
        buf_free(&log);
        buf_free(&out);
    }
}

static void test_a_full_output_is_an_error(void **state)
{
    struct buf log, out;

    (void)state;
    buf_init(&log, OUT_CAP);
    buf_init(&out, 4);
    assert_int_equal(copy_in_steps(SLICE("<a href=x>"), 3, &log, &out), ERR_NOMEM);
    buf_clear(&out);
    assert_int_equal(copy_in_steps(SLICE("plain"), 5, &log, &out), ERR_NOMEM);
    buf_free(&log);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_chosen_attributes_change),
        cmocka_unit_test(test_an_error_stays),
        cmocka_unit_test(test_tags_are_bounded),
        cmocka_unit_test(test_text_is_not_held),
        cmocka_unit_test(test_a_full_output_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
