#include "daemon/base/digest.c"

#include <ctype.h>
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

#define SHA384_ABC                                                                                 \
    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"                                             \
    "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
/* RFC 3874, FIPS 180-4, RFC 1321 */
#define SHA224_ABC "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"
#define SHA1_ABC "a9993e364706816aba3e25717850c26c9cd0d89d"
#define MD5_ABC "900150983cd24fb0d6963f7d28e17f72"

/* The same in base64. */
#define SRI_SHA256 "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
#define SRI_SHA384 "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn"
#define SRI_SHA512                                                                                 \
    "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj"                          \
    "/uu9RU1EI2Q86A4qmslPpUyknw=="
#define SRI_SHA1 "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
#define SRI_MD5 "md5-kAFQmDzST7DWlj99KOF/cg=="

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

/* Sixteen bytes are written at once where there are so many. */
static void test_hex_of_every_byte_at_every_place(void **state)
{
    unsigned char bytes[40];
    char text[sizeof bytes * 2 + 1], expected[sizeof text];

    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (size_t n = 0; n <= sizeof bytes; n++) {
            for (size_t i = 0; i < n; i++) {
                bytes[i] = (unsigned char)(first + 37 * i);
                snprintf(expected + 2 * i, 3, "%02x", bytes[i]);
            }
            expected[2 * n] = '\0';
            hex_encode(bytes, n, text);
            assert_string_equal(text, expected);
        }
}

/* Sixteen digits are read at once where there are so many. */
static void test_any_byte_for_a_digit_at_every_place(void **state)
{
    unsigned char bytes[40], back[sizeof bytes];
    char text[sizeof bytes * 2 + 1];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(37 * i + 11);
    hex_encode(bytes, sizeof bytes, text);
    for (size_t place = 0; place < sizeof text - 1; place++)
        for (int c = 0; c < 256; c++) {
            char usual = text[place];
            const char *digits = "0123456789abcdef", *digit = memchr(digits, c, 16);
            text[place] = (char)c;
            bool good = hex_decode(slice_of(text, sizeof text - 1), back, sizeof back);
            assert_int_equal(good, digit != NULL);
            text[place] = usual;
            if (!good)
                continue;
            unsigned nibble = place % 2 ? back[place / 2] & 15 : back[place / 2] >> 4;
            assert_int_equal(nibble, digit - digits);
            back[place / 2] = bytes[place / 2];
            assert_memory_equal(back, bytes, sizeof bytes);
        }
}

static void test_capital_digits_where_they_may_stand(void **state)
{
    struct digest small, capital;

    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = "0123456789abcdefABCDEF0123456789abcdefABCDEF0123456789abcdefABC_";
        text[sizeof text - 2] = (char)c;
        enum err err = digest_from_hex(SLICE("sha256"), slice_of(text, sizeof text - 1), &capital);
        assert_int_equal(err == ERR_OK, isxdigit(c) != 0);
        if (err != ERR_OK)
            continue;
        for (size_t i = 0; i < sizeof text - 1; i++)
            text[i] = (char)tolower(text[i]);
        assert_int_equal(digest_from_hex(SLICE("sha256"), slice_str(text), &small), ERR_OK);
        assert_true(digest_equal(&small, &capital));
        assert_memory_equal(small.bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef\xab\xcd\xef", 11);
    }
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

static void test_only_what_oci_registers_is_parsed(void **state)
{
    struct digest d;

    (void)state;
    assert_int_equal(digest_parse(SLICE("sha384:" SHA384_ABC), &d), ERR_NOTFOUND);
    assert_int_equal(digest_parse(SLICE("sha1:" SHA1_ABC), &d), ERR_NOTFOUND);
    assert_int_equal(digest_parse(SLICE("md5:" MD5_ABC), &d), ERR_NOTFOUND);
    assert_int_equal(d.algo, DIGEST_NONE);
}

static void assert_hex(const char *algorithm, const char *hex, const char *text)
{
    struct digest d;

    assert_int_equal(digest_from_hex(slice_str(algorithm), slice_str(hex), &d), ERR_OK);
    assert_text(&d, text);
}

static void test_hex_of_an_index_page(void **state)
{
    (void)state;
    assert_hex("sha256", SHA256_ABC, "sha256:" SHA256_ABC);
    assert_hex("sha512", SHA512_ABC, "sha512:" SHA512_ABC);
    assert_hex("SHA384", SHA384_ABC, "sha384:" SHA384_ABC);
    assert_hex("sha224", SHA224_ABC, "sha224:" SHA224_ABC);
    assert_hex("Sha1", "A9993E364706816aba3e25717850c26c9cd0d89D", "sha1:" SHA1_ABC);
    assert_hex("MD5", MD5_ABC, "md5:" MD5_ABC);
}

static void test_no_hex_of_an_index_page(void **state)
{
    static const struct {
        const char *algorithm;
        const char *hex;
        enum err expected;
    } rows[] = {
        {"blake2b", "00ff", ERR_NOTFOUND},
        {"SHA3_256", SHA256_ABC, ERR_NOTFOUND},
        {"sha", SHA1_ABC, ERR_NOTFOUND},
        {"sha2567", SHA256_ABC, ERR_NOTFOUND},
        {"", SHA256_ABC, ERR_PROTO},
        {"sha256 ", SHA256_ABC, ERR_PROTO},
        {"sha256=", SHA256_ABC, ERR_PROTO},
        {"sha256", "", ERR_PROTO},
        {"sha256", MD5_ABC, ERR_PROTO},
        {"sha256", SHA256_ABC "00", ERR_PROTO},
        {"sha256", SHA256_ABC "0", ERR_PROTO},
        {"md5", "900150983cd24fb0d6963f7d28e17f7", ERR_PROTO},
        {"md5", "900150983cd24fb0d6963f7d28e17f7g", ERR_PROTO},
        {"md5", "900150983cd24fb0d6963f7d28e17f7@", ERR_PROTO},
        {"md5", "0x0150983cd24fb0d6963f7d28e17f72", ERR_PROTO},
        {"blake2b", "0", ERR_PROTO},
        {"blake2b", "xy", ERR_PROTO},
    };
    struct digest d;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        d.algo = DIGEST_MD5;
        enum err err = digest_from_hex(slice_str(rows[i].algorithm), slice_str(rows[i].hex), &d);
        if (err != rows[i].expected)
            fail_msg("%s %s: %s", rows[i].algorithm, rows[i].hex, err_name(err));
        assert_int_equal(d.algo, DIGEST_NONE);
    }
    assert_int_equal(digest_from_hex(slice_of(NULL, 0), slice_of(NULL, 0), &d), ERR_PROTO);
}

/* On the heap and without a NUL, so that reading past the end is seen. */
static enum err from_sri(const char *text, struct digest *d)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);

    memcpy(copy, text, n);
    enum err err = digest_from_sri(slice_of(copy, n), d);
    free(copy);
    return err;
}

static void test_integrity(void **state)
{
    static const struct {
        const char *sri;
        const char *text;
    } rows[] = {
        {SRI_SHA256, "sha256:" SHA256_ABC},
        {SRI_SHA384, "sha384:" SHA384_ABC},
        {SRI_SHA512, "sha512:" SHA512_ABC},
        {SRI_SHA1, "sha1:" SHA1_ABC},
        {SRI_MD5, "md5:" MD5_ABC},
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0", "sha1:" SHA1_ABC},
        {"SHA1-qZk-NkcGgWq6PiVxeFDCbJzQ2J0=", "sha1:" SHA1_ABC},
        {SRI_SHA1 "?foo=bar?x-y", "sha1:" SHA1_ABC},
        {" \t" SRI_SHA1 "\r\n", "sha1:" SHA1_ABC},
        /* the strongest, wherever it stands */
        {SRI_SHA1 " " SRI_SHA256, "sha256:" SHA256_ABC},
        {SRI_SHA384 "\n" SRI_SHA256 "  " SRI_MD5, "sha384:" SHA384_ABC},
        /* of equally strong ones the first */
        {SRI_SHA1 " sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "sha1:" SHA1_ABC},
        /* what is not known is passed over */
        {"sha1024-abcd " SRI_SHA1 " blake3-/_+-?x", "sha1:" SHA1_ABC},
    };
    struct digest d;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (from_sri(rows[i].sri, &d) != ERR_OK)
            fail_msg("%s", rows[i].sri);
        assert_text(&d, rows[i].text);
    }
}

static void test_no_integrity(void **state)
{
    static const struct {
        const char *sri;
        enum err expected;
    } rows[] = {
        {"", ERR_NOTFOUND},
        {" \n", ERR_NOTFOUND},
        {"blake3-abcd", ERR_NOTFOUND},
        {"sha", ERR_PROTO},
        {"-qZk+", ERR_PROTO},
        {"sha1-", ERR_PROTO},
        {"sha1-?x", ERR_PROTO},
        {"sha1:" SHA1_ABC, ERR_PROTO},
        {"blake3-ab.d", ERR_PROTO},
        {"sha1-" SHA1_ABC, ERR_PROTO}, /* hex, where base64 should be */
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0==", ERR_PROTO},
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0= =", ERR_PROTO},
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J", ERR_PROTO},
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J1=", ERR_PROTO}, /* bits that are no byte's */
        {"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J=0", ERR_PROTO},
        {"sha1-====", ERR_PROTO},
        {"md5-kAFQmDzST7DWlj99KOF/cg=", ERR_PROTO},
        {"md5-kAFQmDzST7DWlj99KOF/cg=x", ERR_PROTO},
        {"md5-kAFQmDzST7DWlj99KOF/cg===", ERR_PROTO},
        /* no way round a stronger hash that is broken */
        {"sha512-kaputt " SRI_SHA1, ERR_PROTO},
        {SRI_SHA1 " sha512-", ERR_PROTO},
        {SRI_SHA1 "," SRI_MD5, ERR_PROTO},
    };
    struct digest d;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        d.algo = DIGEST_MD5;
        enum err err = from_sri(rows[i].sri, &d);
        if (err != rows[i].expected)
            fail_msg("%s: %s", rows[i].sri, err_name(err));
        assert_int_equal(d.algo, DIGEST_NONE);
    }
    assert_int_equal(digest_from_sri(slice_of(NULL, 0), &d), ERR_NOTFOUND);
}

static void test_strength(void **state)
{
    static const enum digest_algo rising[] = {DIGEST_NONE,   DIGEST_MD5,    DIGEST_SHA1,
                                              DIGEST_SHA224, DIGEST_SHA256, DIGEST_SHA384,
                                              DIGEST_SHA512};
    enum { COUNT = sizeof rising / sizeof rising[0] };

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < COUNT; k++)
            assert_int_equal(digest_is_stronger(rising[i], rising[k]), i > k);
}

static void test_any_algorithm_beside_sha256(void **state)
{
    static const struct {
        enum digest_algo algo;
        const char *text;
    } rows[] = {
        {DIGEST_SHA256, "sha256:" SHA256_ABC}, {DIGEST_SHA512, "sha512:" SHA512_ABC},
        {DIGEST_SHA384, "sha384:" SHA384_ABC}, {DIGEST_SHA224, "sha224:" SHA224_ABC},
        {DIGEST_SHA1, "sha1:" SHA1_ABC},       {DIGEST_MD5, "md5:" MD5_ABC},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hasher *h = hasher_new(rows[i].algo);
        struct digest d;
        hasher_update(h, "ab", 2);
        hasher_digest(h, rows[i].algo, &d);
        hasher_update(h, "c", 1);
        hasher_digest(h, rows[i].algo, &d);
        assert_text(&d, rows[i].text);
        assert_int_equal(digest_bytes(d.algo), (strlen(strchr(rows[i].text, ':')) - 1) / 2);
        hasher_digest(h, DIGEST_SHA256, &d);
        assert_text(&d, "sha256:" SHA256_ABC);
        hasher_free(&h);
    }
}

/* RFC 4231, cases 1 and 2; a key is padded with zeros. */
static void test_hmac(void **state)
{
    unsigned char key[SHA256_BYTES] = {0};
    unsigned char empty[SHA256_BYTES];
    unsigned char mac[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];

    (void)state;
    memset(key, 0x0b, 20);
    hmac_sha256(key, SLICE("Hi There"), mac);
    hex_encode(mac, sizeof mac, text);
    assert_string_equal(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    memset(key, 0, sizeof key);
    memcpy(key, "Jefe", 4);
    hmac_sha256(key, SLICE("what do ya want for nothing?"), mac);
    hex_encode(mac, sizeof mac, text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    hmac_sha256(key, SLICE(""), mac);
    hmac_sha256(key, slice_of(NULL, 0), empty);
    assert_memory_equal(mac, empty, sizeof mac);
}

/* 300 bytes that are all the same would be a fault of the system, not bad luck. */
static void test_random_bytes(void **state)
{
    unsigned char a[302] = {0};
    unsigned char b[302] = {0};

    (void)state;
    random_bytes(a + 1, 300);
    random_bytes(b + 1, 300);
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(a[0] == 0 && a[301] == 0);
    random_bytes(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_text),
        cmocka_unit_test(test_no_digest),
        cmocka_unit_test(test_unknown_algorithm),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_hex_of_every_byte_at_every_place),
        cmocka_unit_test(test_any_byte_for_a_digit_at_every_place),
        cmocka_unit_test(test_capital_digits_where_they_may_stand),
        cmocka_unit_test(test_one_shot),
        cmocka_unit_test(test_running_hash_goes_on_after_a_digest),
        cmocka_unit_test(test_both_algorithms_at_once),
        cmocka_unit_test(test_only_what_oci_registers_is_parsed),
        cmocka_unit_test(test_hex_of_an_index_page),
        cmocka_unit_test(test_no_hex_of_an_index_page),
        cmocka_unit_test(test_integrity),
        cmocka_unit_test(test_no_integrity),
        cmocka_unit_test(test_strength),
        cmocka_unit_test(test_any_algorithm_beside_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
