#include "daemon/protocol/html_text.c"

#include "http_test.h"

static const struct {
    const char *text;
    const char *want;
} decode_cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'"},
    {"&colon;&sol;&sol;&period;&plus;", "://.+"},
    {"&#47;&#x2F;&#X2f;&#0047;&#47", "/////"},
    {"&#x20AC;&#228;&#128512;", "\xe2\x82\xac\xc3\xa4\xf0\x9f\x98\x80"},
    {"&#0;&#xD800;&#1114112;&#99999999999999999999;",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"?a=1&b=2&lt=3&copy=4", "?a=1&b=2&lt=3&copy=4"},
    {"&", "&"},
    {"&#", "&#"},
    {"&#;", "&#;"},
    {"&#x;", "&#x;"},
    {"&;", "&;"},
    {"&AMP;amp;", "&amp;"},
    {"&unknown;&amp", "&unknown;&amp"},
};

static void test_references_are_decoded_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decode_cases / sizeof decode_cases[0]; i++) {
        struct buf out;
        buf_init(&out, 1024);
        html_decode(slice_str(decode_cases[i].text), &out);
        check_slice(decode_cases[i].text, buf_slice(&out), slice_str(decode_cases[i].want));
        buf_free(&out);
    }
}

static void test_what_is_encoded_means_the_same(void **state)
{
    struct slice text = SLICE("a&b\"c<d>e'f&amp;g\xc3\xa4");
    struct buf encoded, decoded;

    (void)state;
    buf_init(&encoded, 1024);
    buf_init(&decoded, 1024);
    html_encode(text, &encoded);
    check_slice("encoded", buf_slice(&encoded),
                SLICE("a&amp;b&quot;c&lt;d&gt;e'f&amp;amp;g\xc3\xa4"));
    html_decode(buf_slice(&encoded), &decoded);
    check_slice("decoded", buf_slice(&decoded), text);
    buf_free(&encoded);
    buf_free(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references_are_decoded_once),
        cmocka_unit_test(test_what_is_encoded_means_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
