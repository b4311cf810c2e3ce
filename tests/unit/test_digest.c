#include "daemon/base/digest.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* FIPS 180-4 examples */
#define SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256_MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
#define SHA512_ABC                                                                                 \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                             \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static void assert_text(const struct digest *d, const char *expected)
{
    char text[DIGEST_TEXT_MAX];
    struct slice s = digest_text(d, text);

    assert_string_equal(text, expected);
    assert_int_equal(s.n, strlen(expected));
}

static void test_parse_and_text(void **state)
{
    struct digest d;
    struct digest e;

    (void)state;
    assert_int_equal(digest_parse(SLICE("sha256:" SHA256_ABC), &d), ERR_OK);
    assert_int_equal(d.algo, DIGEST_SHA256);
    assert_text(&d, "sha256:" SHA256_ABC);
    assert_int_equal(digest_parse(SLICE("sha512:" SHA512_ABC), &e), ERR_OK);
    assert_text(&e, "sha512:" SHA512_ABC);
    assert_false(digest_equal(&d, &e));
    e = d;
    assert_true(digest_equal(&d, &e));
    e.bytes[31] ^= 1;
    assert_false(digest_equal(&d, &e));
}

static void test_no_digest(void **state)
{
    static const char *const bad[] = {
        "",
        "latest",
        "sha256",
        "sha256:",
        ":" SHA256_ABC,
        "sha256:ba7816",
        "sha256:" SHA256_ABC "0",
        "sha256:" SHA256_ABC "00",
        "sha256:" SHA512_ABC,
        "sha512:" SHA256_ABC,
        "sha256:Ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:/a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "SHA256:" SHA256_ABC,
        " sha256:" SHA256_ABC,
        "a++b:00",
        "+a:00",
        "a+:00",
        "blake3:",
        "blake3:a/b",
        "blake3:a b",
        "bla/ke:00",
    };
    struct digest d;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(digest_parse(slice_str(bad[i]), &d), ERR_PROTO);
        assert_int_equal(d.algo, DIGEST_NONE);
    }
}

static void test_unknown_algorithm(void **state)
{
    struct digest d;

    (void)state;
    assert_int_equal(digest_parse(SLICE("blake3:0f"), &d), ERR_NOTFOUND);
    assert_int_equal(digest_parse(SLICE("sha256+b64u:LCa0a2j_xo=-Z"), &d), ERR_NOTFOUND);
    assert_int_equal(digest_parse(SLICE("multihash+base58:QmRZ"), &d), ERR_NOTFOUND);
    assert_int_equal(d.algo, DIGEST_NONE);
    assert_text(&d, "");
    assert_int_equal(digest_bytes(DIGEST_NONE), 0);
}

static void test_hex(void **state)
{
    unsigned char bytes[3] = {0x00, 0x9a, 0xff};
    unsigned char back[3];
    char text[7];

    (void)state;
    hex_encode(bytes, 3, text);
    assert_string_equal(text, "009aff");
    assert_true(hex_decode(SLICE("009aff"), back, 3));
    assert_memory_equal(back, bytes, 3);
    assert_false(hex_decode(SLICE("009af"), back, 3));
    assert_false(hex_decode(SLICE("009aff0"), back, 3));
    assert_false(hex_decode(SLICE("009afF"), back, 3));
    assert_false(hex_decode(SLICE("009afg"), back, 3));
}

static void test_one_shot(void **state)
{
    struct digest d = {.algo = DIGEST_SHA256};

    (void)state;
    sha256("abc", 3, d.bytes);
    assert_text(&d, "sha256:" SHA256_ABC);
    sha256("", 0, d.bytes);
    assert_text(&d, "sha256:" SHA256_EMPTY);
}

static void test_running_hash_goes_on_after_a_digest(void **state)
{
    struct hasher *h = hasher_new(DIGEST_NONE);
    char piece[1000];
    struct digest d;

    (void)state;
    hasher_digest(h, DIGEST_SHA256, &d);
    assert_text(&d, "sha256:" SHA256_EMPTY);
    memset(piece, 'a', sizeof piece);
    for (int i = 0; i < 1000; i++) {
        hasher_update(h, piece, sizeof piece);
        if (i == 500)
            hasher_digest(h, DIGEST_SHA256, &d);
    }
    hasher_digest(h, DIGEST_SHA256, &d);
    assert_text(&d, "sha256:" SHA256_MILLION_A);
    hasher_free(&h);
    assert_null(h);
    hasher_free(&h);
}

static void test_both_algorithms_at_once(void **state)
{
    struct hasher *h = hasher_new(DIGEST_SHA512);
    struct digest d;

    (void)state;
    hasher_update(h, "a", 1);
    hasher_update(h, "bc", 2);
    hasher_update(h, NULL, 0);
    hasher_digest(h, DIGEST_SHA512, &d);
    assert_text(&d, "sha512:" SHA512_ABC);
    hasher_digest(h, DIGEST_SHA256, &d);
    assert_text(&d, "sha256:" SHA256_ABC);
    hasher_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_text),
        cmocka_unit_test(test_no_digest),
        cmocka_unit_test(test_unknown_algorithm),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_one_shot),
        cmocka_unit_test(test_running_hash_goes_on_after_a_digest),
        cmocka_unit_test(test_both_algorithms_at_once),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
