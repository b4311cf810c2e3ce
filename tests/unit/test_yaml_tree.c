#include "daemon/base/yaml_tree.c"

#include <setjmp.h>

#include <cmocka.h>

/* A tree, its faults and the memory of both. */
struct fixture {
    struct arena arena;
    struct faults faults;
    const struct yaml_node *root;
};

static struct fixture build_tree(const char *text)
{
    struct fixture f = {.faults = {.n = 0}};

    arena_init(&f.arena, NULL, 0, 32 << 20);
    f.root = yaml_tree_build(slice_str(text), &f.arena, &f.faults);
    return f;
}

static void assert_text(const struct yaml_node *node, const char *expected, unsigned line)
{
    assert_non_null(node);
    assert_int_equal(node->kind, NODE_TEXT);
    assert_string_equal(node->text.p, expected);
    assert_int_equal(node->text.n, strlen(expected));
    assert_int_equal(node->line, line);
}

static void assert_faults(const char *text, const char *expected)
{
    struct fixture f = build_tree(text);
    struct buf out;

    buf_init(&out, 1 << 16);
    faults_print(&f.faults, "F", &out);
    buf_addc(&out, '\0');
    assert_string_equal(out.p, expected);
    buf_free(&out);
    arena_reset(&f.arena);
}

static void test_maps_lists_and_lines(void **state)
{
    struct fixture f = build_tree("# comment\n"
                                  "a: one   # more\n"
                                  "b:\n"
                                  "  - x: 1\n"
                                  "    y:\n"
                                  "      two words\n"
                                  "  - [p, 'q', \"r\\n\"]\n"
                                  "c: {d: e}\n");
    const struct yaml_node *b = yaml_tree_get(f.root, "b");

    (void)state;
    assert_int_equal(f.faults.n, 0);
    assert_int_equal(f.root->kind, NODE_MAP);
    assert_int_equal(f.root->count, 3);
    assert_text(yaml_tree_get(f.root, "a"), "one", 2);
    assert_int_equal(b->kind, NODE_LIST);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->line, 3);
    assert_text(yaml_tree_get(yaml_tree_at(b, 0), "x"), "1", 4);
    assert_text(yaml_tree_get(yaml_tree_at(b, 0), "y"), "two words", 5);
    assert_text(yaml_tree_at(yaml_tree_at(b, 1), 2), "r\n", 7);
    assert_text(yaml_tree_get(yaml_tree_get(f.root, "c"), "d"), "e", 8);
    arena_reset(&f.arena);
}

static void test_nothing_found_is_null(void **state)
{
    struct fixture f = build_tree("a: [b]\n");
    const struct yaml_node *list = yaml_tree_get(f.root, "a");

    (void)state;
    assert_null(yaml_tree_get(f.root, "b"));
    assert_null(yaml_tree_get(list, "b"));
    assert_null(yaml_tree_get(NULL, "b"));
    assert_null(yaml_tree_at(list, 1));
    assert_null(yaml_tree_at(f.root, 0));
    assert_null(yaml_tree_at(NULL, 0));
    arena_reset(&f.arena);
}

static void test_null_is_plain_only(void **state)
{
    struct fixture f = build_tree("[ , ~, null, Null, NULL, '', 'null', \"~\", nULL, no]\n");
    static const enum yaml_node_kind kinds[] = {NODE_NULL, NODE_NULL, NODE_NULL,
                                                NODE_NULL, NODE_TEXT, NODE_TEXT,
                                                NODE_TEXT, NODE_TEXT, NODE_TEXT};

    (void)state;
    /* YAML has no empty entry in a flow list. */
    assert_null(f.root);
    arena_reset(&f.arena);
    f = build_tree("[~, null, Null, NULL, '', 'null', \"~\", nULL, no]\n");
    assert_int_equal(f.root->count, sizeof kinds / sizeof kinds[0]);
    for (size_t i = 0; i < f.root->count; i++) {
        assert_int_equal(yaml_tree_at(f.root, i)->kind, kinds[i]);
        assert_int_equal(yaml_tree_at(f.root, i)->quoted, i >= 4 && i <= 6);
    }
    arena_reset(&f.arena);
    f = build_tree("a:\nb: c\n");
    assert_int_equal(yaml_tree_get(f.root, "a")->kind, NODE_NULL);
    arena_reset(&f.arena);
}

static void test_refused_yaml(void **state)
{
    (void)state;
    assert_faults("", "F:1: the file is empty\n");
    assert_faults("# only a comment\n", "F:1: the file is empty\n");
    assert_faults("a: 1\nb: &x 2\nc: *x\n", "F:2: anchors (&) are not supported\n"
                                            "F:3: aliases (*) are not supported\n");
    assert_faults("a: !!str 1\nb: !x [1]\n! c: {}\n", "F:1: tags (!) are not supported\n"
                                                      "F:2: tags (!) are not supported\n"
                                                      "F:3: tags (!) are not supported\n");
    assert_faults("%YAML 1.1\n---\na: 1\n", "F:1: directives (%) are not supported\n");
    assert_faults("%TAG ! x:\n---\na: 1\n", "F:1: directives (%) are not supported\n");
    assert_faults("a: 1\n---\nb: 2\n", "F:2: only one document is allowed\n");
    assert_faults("? [a]\n: 1\n", "F:1: a key must be plain text\n");
    assert_faults("a: \"x\\0y\"\n", "F:1: a NUL character is not allowed\n");
    assert_faults("\"x\\0y\": a\n", "F:1: a NUL character is not allowed\n");
}

static void test_keys_given_twice(void **state)
{
    (void)state;
    assert_faults("a: 1\nb:\n  - c: 1\n    d: 2\n    c:\n      - 4\na: 2\n",
                  "F:5: b[0].c: given twice, first at line 3\n"
                  "F:7: a: given twice, first at line 1\n");
    assert_faults("{a: 1, 'a': {b: 1, b: 2}}", "F:1: a: given twice, first at line 1\n"
                                               "F:1: a.b: given twice, first at line 1\n");
}

static void test_not_yaml(void **state)
{
    (void)state;
    assert_faults("a: 1\n\tb: 2\n", "F:2: not YAML: found a tab character that violates "
                                    "indentation while scanning a plain scalar\n");
    assert_faults(
        "a: [1\nb: 2\n",
        "F:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence\n");
    assert_faults("a: 1\nb: \xff\n", "F:2: not YAML: invalid leading UTF-8 octet\n");
    assert_faults("a: 1\n\n\x01\n", "F:3: not YAML: control characters are not allowed\n");
}

static void test_shown_keys_are_short_and_clean(void **state)
{
    (void)state;
    assert_faults("\"a\\e[\": 1\n\"a\\e[\": 1\n", "F:2: a\\u001b[: given twice, first at line 1\n");
    assert_faults("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: 1\n"
                  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: 1\n",
                  "F:2: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: given twice, first at "
                  "line 1\n");
}

static void test_depth_is_bounded(void **state)
{
    char text[2 * YAML_DEPTH_MAX + 3];

    (void)state;
    memset(text, '[', YAML_DEPTH_MAX);
    memset(text + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    text[2 * YAML_DEPTH_MAX] = '\0';
    assert_faults(text, "");
    memset(text, '[', YAML_DEPTH_MAX + 1);
    assert_faults(text, "F:1: nested more than 16 deep\n");
}

static void test_count_is_bounded(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < YAML_NODES_MAX - 1; i++)
        buf_add(&text, SLICE("- x\n"));
    buf_addc(&text, '\0');
    assert_faults(text.p, "");
    text.n--; /* the NUL */
    buf_add(&text, SLICE("- x\n"));
    buf_addc(&text, '\0');
    assert_faults(text.p, "F:10000: more than 10000 keys and values\n");
    buf_free(&text);
}

static void test_earliest_faults_are_kept_in_line_order(void **state)
{
    struct faults f = {.n = 0};

    (void)state;
    for (unsigned line = 40; line > 0; line--)
        faults_add(&f, line, "at %u", line);
    faults_add(&f, 5, "later");
    faults_add(&f, 99, "too late");
    assert_int_equal(f.n, FAULTS_MAX);
    assert_string_equal(f.v[0].text, "at 1");
    assert_string_equal(f.v[4].text, "at 5");
    assert_string_equal(f.v[5].text, "later");
    assert_int_equal(f.v[FAULTS_MAX - 1].line, FAULTS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_lists_and_lines),
        cmocka_unit_test(test_nothing_found_is_null),
        cmocka_unit_test(test_null_is_plain_only),
        cmocka_unit_test(test_refused_yaml),
        cmocka_unit_test(test_keys_given_twice),
        cmocka_unit_test(test_not_yaml),
        cmocka_unit_test(test_shown_keys_are_short_and_clean),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_count_is_bounded),
        cmocka_unit_test(test_earliest_faults_are_kept_in_line_order),
    };
    return cmocka_run_group_tests_name("yaml_tree", tests, NULL, NULL);
}
