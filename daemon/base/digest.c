/* The one user of libcrypto's hashes. */
#define OPENSSL_SUPPRESS_DEPRECATED /* see sha256 */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bytes16.h"

struct algo_row {
    struct slice name;
    size_t bytes;
    int strength;
    bool in_oci;             /* image-spec registers it */
    const char *crypto_name; /* as libcrypto calls it */
};

static const struct algo_row algo_rows[] = {
    [DIGEST_SHA256] = {{"sha256", 6}, SHA256_BYTES, 4, true, "SHA256"},
    [DIGEST_SHA512] = {{"sha512", 6}, SHA512_BYTES, 6, true, "SHA512"},
    [DIGEST_SHA384] = {{"sha384", 6}, 48, 5, false, "SHA384"},
    [DIGEST_SHA224] = {{"sha224", 6}, 28, 3, false, "SHA224"},
    [DIGEST_SHA1] = {{"sha1", 4}, 20, 2, false, "SHA1"},
    [DIGEST_MD5] = {{"md5", 3}, 16, 1, false, "MD5"},
};

enum { ALGO_COUNT = sizeof algo_rows / sizeof algo_rows[0] };

/*
 * Looked up once: a lookup by name in each hash costs more than hashing a small body. A system that
 * is set up for approved algorithms only may lack the weak ones.
 */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *fetched[ALGO_COUNT];

/* libcrypto fails here only when memory is out or it is not installed whole. */
static void require(bool ok)
{
    if (!ok)
        abort();
}

static void fetch_algorithms(void)
{
    for (int i = DIGEST_NONE + 1; i < ALGO_COUNT; i++)
        fetched[i] = EVP_MD_fetch(NULL, algo_rows[i].crypto_name, NULL);
    require(fetched[DIGEST_SHA256] && fetched[DIGEST_SHA512]);
}

/* NULL: it cannot be computed here. */
static const EVP_MD *md_of(enum digest_algo algo)
{
    pthread_once(&fetch_once, fetch_algorithms);
    return fetched[algo];
}

size_t digest_bytes(enum digest_algo algo)
{
    return (size_t)algo < ALGO_COUNT ? algo_rows[algo].bytes : 0;
}

bool digest_is_stronger(enum digest_algo a, enum digest_algo b)
{
    return algo_rows[a].strength > algo_rows[b].strength;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->algo == b->algo && memcmp(a->bytes, b->bytes, digest_bytes(a->algo)) == 0;
}

/* --- hex --- */

/* A digest is read and written with every answer: two digits for each byte, ready made. */
#define HEX_ROW(high)                                                                              \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high \
         "a" high "b" high "c" high "d" high "e" high "f"
static const char hex_pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4")
    HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b")
        HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

/* The value of a digit, and in which spelling it is one. */
enum { HEX_VALUE = 15, HEX_LOWER = 16, HEX_ANY_CASE = 32 };
#define DIGIT(value) (HEX_LOWER | HEX_ANY_CASE | (value))
#define CAPITAL(value) (HEX_ANY_CASE | (value))
static const unsigned char hex_digits[256] = {
    ['0'] = DIGIT(0),    ['1'] = DIGIT(1),    ['2'] = DIGIT(2),    ['3'] = DIGIT(3),
    ['4'] = DIGIT(4),    ['5'] = DIGIT(5),    ['6'] = DIGIT(6),    ['7'] = DIGIT(7),
    ['8'] = DIGIT(8),    ['9'] = DIGIT(9),    ['a'] = DIGIT(10),   ['b'] = DIGIT(11),
    ['c'] = DIGIT(12),   ['d'] = DIGIT(13),   ['e'] = DIGIT(14),   ['f'] = DIGIT(15),
    ['A'] = CAPITAL(10), ['B'] = CAPITAL(11), ['C'] = CAPITAL(12), ['D'] = CAPITAL(13),
    ['E'] = CAPITAL(14), ['F'] = CAPITAL(15),
};
#undef DIGIT
#undef CAPITAL

/* The digits of sixteen bytes, of which each is one nibble. */
static bytes16 nibble_digits(bytes16 nibbles)
{
    return nibbles + '0' + ((bytes16)(nibbles > 9) & ('a' - '0' - 10));
}

static void encode16(const unsigned char *bytes, char out[32])
{
    bytes16 v = bytes16_at((const char *)bytes);
    bytes16 high = nibble_digits(v >> 4), low = nibble_digits(v & 15);
    bytes16 first =
        __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    bytes16 second = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                             29, 14, 30, 15, 31);

    memcpy(out, &first, sizeof first);
    memcpy(out + sizeof first, &second, sizeof second);
}

void hex_encode(const unsigned char *bytes, size_t n, char *out)
{
    size_t i = 0;

    for (; n - i >= sizeof(bytes16); i += sizeof(bytes16))
        encode16(bytes + i, out + 2 * i);
    for (; i < n; i++)
        memcpy(out + 2 * i, hex_pairs + 2 * bytes[i], 2);
    out[2 * n] = '\0';
}

/* The values of sixteen digits; where one is none, `good` loses its truth. */
static bytes16 nibbles_at(const char *text, unsigned spelling, bytes16 *good)
{
    bytes16 v = bytes16_at(text);
    bytes16 number = v - '0';
    bytes16 letter = (spelling == HEX_ANY_CASE ? v | ('a' ^ 'A') : v) - 'a';
    bytes16 is_number = (bytes16)(number < 10), is_letter = (bytes16)(letter < 6);

    *good &= is_number | is_letter;
    return (number & is_number) | ((letter + 10) & is_letter);
}

static bool decode16(const char *text, unsigned spelling, unsigned char bytes[16])
{
    bytes16 good = ~(bytes16){0};
    bytes16 first = nibbles_at(text, spelling, &good),
            second = nibbles_at(text + 16, spelling, &good);
    bytes16 high = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,
                                           24, 26, 28, 30);
    bytes16 low = __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23,
                                          25, 27, 29, 31);
    bytes16 v = high << 4 | low;

    memcpy(bytes, &v, sizeof v);
    return bytes16_all(good);
}

static bool decode_hex(struct slice text, unsigned spelling, unsigned char *bytes, size_t n)
{
    unsigned all = spelling;
    size_t i = 0;

    if (text.n / 2 != n || text.n % 2)
        return false;
    for (; n - i >= sizeof(bytes16); i += sizeof(bytes16))
        if (!decode16(text.p + 2 * i, spelling, bytes + i))
            return false;
    for (; i < n; i++) {
        unsigned high = hex_digits[(unsigned char)text.p[2 * i]];
        unsigned low = hex_digits[(unsigned char)text.p[2 * i + 1]];
        all &= high & low;
        bytes[i] = (unsigned char)((high & HEX_VALUE) << 4 | (low & HEX_VALUE));
    }
    return all == spelling;
}

bool hex_decode(struct slice text, unsigned char *bytes, size_t n)
{
    return decode_hex(text, HEX_LOWER, bytes, n);
}

struct slice digest_text(const struct digest *d, char out[DIGEST_TEXT_MAX])
{
    const struct algo_row *row = &algo_rows[d->algo];

    if (d->algo == DIGEST_NONE) {
        out[0] = '\0';
        return slice_of(out, 0);
    }
    memcpy(out, row->name.p, row->name.n);
    out[row->name.n] = ':';
    hex_encode(d->bytes, row->bytes, out + row->name.n + 1);
    return slice_of(out, row->name.n + 1 + 2 * row->bytes);
}

/* --- OCI --- */

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_separator(char c)
{
    return c == '+' || c == '.' || c == '_' || c == '-';
}

/* image-spec, descriptor.md: components of lower-case letters and digits, one separator between. */
static bool is_algorithm(struct slice s)
{
    bool in_component = false;

    for (size_t i = 0; i < s.n; i++) {
        if (is_separator(s.p[i]) ? !in_component : !is_lower_or_digit(s.p[i]))
            return false;
        in_component = !is_separator(s.p[i]);
    }
    return in_component;
}

static bool is_encoded(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!is_alphanumeric(c) && c != '=' && c != '_' && c != '-')
            return false;
    }
    return s.n > 0;
}

enum err digest_parse(struct slice text, struct digest *d)
{
    size_t colon = slice_find(text, ':');
    struct slice name = slice_to(text, colon);
    struct slice encoded = slice_from(text, colon + 1);

    *d = (struct digest){.algo = DIGEST_NONE};
    if (colon == text.n)
        return ERR_PROTO;
    for (int i = DIGEST_NONE + 1; i < ALGO_COUNT; i++) {
        if (!algo_rows[i].in_oci || !slice_eq(name, algo_rows[i].name))
            continue;
        if (!hex_decode(encoded, d->bytes, algo_rows[i].bytes))
            return ERR_PROTO;
        d->algo = (enum digest_algo)i;
        return ERR_OK;
    }
    return is_algorithm(name) && is_encoded(encoded) ? ERR_NOTFOUND : ERR_PROTO;
}

/* By a name in any case; DIGEST_NONE when it cannot be computed here. */
static enum digest_algo find_algo(struct slice name)
{
    for (int i = DIGEST_NONE + 1; i < ALGO_COUNT; i++)
        if (slice_ieq(name, algo_rows[i].name) && md_of((enum digest_algo)i))
            return (enum digest_algo)i;
    return DIGEST_NONE;
}

/* As index pages and integrity metadata write them. */
static bool is_loose_algorithm(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alphanumeric(s.p[i]) && !is_separator(s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_hex_any_case(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(hex_digits[(unsigned char)s.p[i]] & HEX_ANY_CASE))
            return false;
    return s.n > 0 && s.n % 2 == 0;
}

enum err digest_from_hex(struct slice algorithm, struct slice hex, struct digest *d)
{
    enum digest_algo algo = find_algo(algorithm);

    *d = (struct digest){.algo = DIGEST_NONE};
    if (!is_loose_algorithm(algorithm) || !is_hex_any_case(hex))
        return ERR_PROTO;
    if (algo == DIGEST_NONE)
        return ERR_NOTFOUND;
    if (!decode_hex(hex, HEX_ANY_CASE, d->bytes, digest_bytes(algo)))
        return ERR_PROTO;
    d->algo = algo;
    return ERR_OK;
}

/* --- Subresource Integrity --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Takes the next word off *text; empty when there is none. */
static struct slice next_word(struct slice *text)
{
    size_t begin = 0;

    while (begin < text->n && is_blank(text->p[begin]))
        begin++;
    size_t end = begin;
    while (end < text->n && !is_blank(text->p[end]))
        end++;
    struct slice word = slice_from(slice_to(*text, end), begin);
    *text = slice_from(*text, end);
    return word;
}

/* Both alphabets of RFC 4648, as the recommendation's grammar has it. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Padding is there as a whole or not at all; empty when it is wrong. */
static struct slice without_padding(struct slice text)
{
    struct slice digits = slice_to(text, slice_find(text, '='));
    size_t padding = text.n - digits.n;
    bool right = padding <= 2 && text.n % 4 == 0 && (padding < 2 || text.p[text.n - 1] == '=');

    return padding == 0 || right ? digits : slice_of(NULL, 0);
}

static bool is_base64(struct slice text)
{
    struct slice digits = without_padding(text);

    for (size_t i = 0; i < digits.n; i++)
        if (base64_value(digits.p[i]) < 0)
            return false;
    return digits.n > 0;
}

/* false unless it is base64 of exactly n bytes, and in the one way to write them. */
static bool base64_decode(struct slice text, unsigned char *bytes, size_t n)
{
    struct slice digits = without_padding(text);
    unsigned bits = 0, count = 0;

    if (digits.n != (8 * n + 5) / 6)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        int value = base64_value(digits.p[i]);
        if (value < 0)
            return false;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *bytes++ = (unsigned char)(bits >> count);
        }
    }
    return (bits & ((1u << count) - 1)) == 0;
}

/* One hash of the metadata: "algorithm-base64", perhaps with "?options". */
static enum err parse_hash(struct slice word, struct digest *d)
{
    struct slice hash = slice_to(word, slice_find(word, '?'));
    size_t dash = slice_find(hash, '-');
    struct slice encoded = slice_from(hash, dash + 1);

    *d = (struct digest){.algo = DIGEST_NONE};
    if (!is_loose_algorithm(slice_to(hash, dash)) || !is_base64(encoded))
        return ERR_PROTO;
    enum digest_algo algo = find_algo(slice_to(hash, dash));
    if (algo == DIGEST_NONE)
        return ERR_NOTFOUND;
    if (!base64_decode(encoded, d->bytes, digest_bytes(algo)))
        return ERR_PROTO;
    d->algo = algo;
    return ERR_OK;
}

enum err digest_from_sri(struct slice text, struct digest *d)
{
    struct digest best = {.algo = DIGEST_NONE};
    struct digest hash;

    *d = best;
    for (struct slice word = next_word(&text); word.n; word = next_word(&text)) {
        enum err err = parse_hash(word, &hash);
        if (err == ERR_PROTO)
            return ERR_PROTO;
        if (err == ERR_OK && digest_is_stronger(hash.algo, best.algo))
            best = hash;
    }
    *d = best;
    return best.algo == DIGEST_NONE ? ERR_NOTFOUND : ERR_OK;
}

/* --- hashing --- */

struct hasher {
    EVP_MD_CTX *sha256;
    enum digest_algo also;
    EVP_MD_CTX *other;   /* of `also`; NULL when that is none or SHA-256 */
    EVP_MD_CTX *scratch; /* where a digest is finished while the hash goes on */
};

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context != NULL);
    return context;
}

static EVP_MD_CTX *new_hash(enum digest_algo algo)
{
    EVP_MD_CTX *context = new_context();
    require(EVP_DigestInit_ex2(context, md_of(algo), NULL) == 1);
    return context;
}

struct hasher *hasher_new(enum digest_algo also)
{
    struct hasher *h = calloc(1, sizeof *h);

    require(h != NULL);
    h->sha256 = new_hash(DIGEST_SHA256);
    h->also = also;
    if (also != DIGEST_NONE && also != DIGEST_SHA256)
        h->other = new_hash(also);
    h->scratch = new_context();
    return h;
}

void hasher_free(struct hasher **h)
{
    if (!*h)
        return;
    EVP_MD_CTX_free((*h)->sha256);
    EVP_MD_CTX_free((*h)->other);
    EVP_MD_CTX_free((*h)->scratch);
    free(*h);
    *h = NULL;
}

void hasher_update(struct hasher *h, const void *p, size_t n)
{
    require(EVP_DigestUpdate(h->sha256, p, n) == 1);
    if (h->other)
        require(EVP_DigestUpdate(h->other, p, n) == 1);
}

void hasher_digest(const struct hasher *h, enum digest_algo algo, struct digest *out)
{
    const EVP_MD_CTX *context = algo == DIGEST_SHA256 ? h->sha256 : h->other;

    *out = (struct digest){.algo = algo};
    require(context && (algo == DIGEST_SHA256 || algo == h->also));
    require(EVP_MD_CTX_copy_ex(h->scratch, context) == 1);
    require(EVP_DigestFinal_ex(h->scratch, out->bytes, NULL) == 1);
}

/*
 * Each request needs a key. The old interface hashes on the stack; the other one allocates for each
 * hash, which costs as much as the hashing.
 */
void sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES])
{
    SHA256_CTX context;

    require(SHA256_Init(&context) == 1 && SHA256_Update(&context, p, n) == 1 &&
            SHA256_Final(out, &context) == 1);
}

void hmac_sha256(const unsigned char key[SHA256_BYTES], struct slice text,
                 unsigned char out[SHA256_BYTES])
{
    const unsigned char *p = (const unsigned char *)(text.n ? text.p : "");

    require(HMAC(md_of(DIGEST_SHA256), key, SHA256_BYTES, p, text.n, out, NULL) != NULL);
}

void random_bytes(void *out, size_t n)
{
    char *p = out;

    while (n) {
        ssize_t got = getrandom(p, n, 0);
        require(got > 0 || (got < 0 && errno == EINTR));
        p += got > 0 ? got : 0;
        n -= got > 0 ? (size_t)got : 0;
    }
}
