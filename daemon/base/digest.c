/* The one user of libcrypto's hashes. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct algo_row {
    enum digest_algo algo;
    struct slice prefix;
    size_t bytes;
};

static const struct algo_row algo_rows[] = {
    {DIGEST_SHA256, {"sha256:", 7}, SHA256_BYTES},
    {DIGEST_SHA512, {"sha512:", 7}, SHA512_BYTES},
};

static const struct algo_row *find_algo(enum digest_algo algo)
{
    for (size_t i = 0; i < sizeof algo_rows / sizeof algo_rows[0]; i++)
        if (algo_rows[i].algo == algo)
            return &algo_rows[i];
    return NULL;
}

size_t digest_bytes(enum digest_algo algo)
{
    const struct algo_row *row = find_algo(algo);
    return row ? row->bytes : 0;
}

/* --- text --- */

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
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
        if (!is_lower_or_digit(c) && !(c >= 'A' && c <= 'Z') && c != '=' && c != '_' && c != '-')
            return false;
    }
    return s.n > 0;
}

enum err digest_parse(struct slice text, struct digest *d)
{
    size_t colon = slice_find(text, ':');

    *d = (struct digest){.algo = DIGEST_NONE};
    for (size_t i = 0; i < sizeof algo_rows / sizeof algo_rows[0]; i++) {
        const struct algo_row *row = &algo_rows[i];
        if (!slice_starts(text, row->prefix))
            continue;
        if (!hex_decode(slice_from(text, row->prefix.n), d->bytes, row->bytes))
            return ERR_PROTO;
        d->algo = row->algo;
        return ERR_OK;
    }
    if (colon == text.n || !is_algorithm(slice_to(text, colon)) ||
        !is_encoded(slice_from(text, colon + 1)))
        return ERR_PROTO;
    return ERR_NOTFOUND;
}

struct slice digest_text(const struct digest *d, char out[DIGEST_TEXT_MAX])
{
    const struct algo_row *row = find_algo(d->algo);

    if (!row) {
        out[0] = '\0';
        return slice_of(out, 0);
    }
    memcpy(out, row->prefix.p, row->prefix.n);
    hex_encode(d->bytes, row->bytes, out + row->prefix.n);
    return slice_of(out, row->prefix.n + 2 * row->bytes);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->algo == b->algo && memcmp(a->bytes, b->bytes, digest_bytes(a->algo)) == 0;
}

void hex_encode(const unsigned char *bytes, size_t n, char *out)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = hex[bytes[i] >> 4];
        *out++ = hex[bytes[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_decode(struct slice text, unsigned char *bytes, size_t n)
{
    if (text.n / 2 != n || text.n % 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(text.p[2 * i]);
        int low = hex_value(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* --- hashing --- */

struct hasher {
    EVP_MD_CTX *sha256;
    EVP_MD_CTX *sha512;  /* NULL when not computed */
    EVP_MD_CTX *scratch; /* where a digest is finished while the hash goes on */
};

/* Looked up once: a lookup by name in each hash costs more than hashing a small body. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *md_sha256;
static EVP_MD *md_sha512;

/* libcrypto fails here only when memory is out or it is not installed whole. */
static void require(bool ok)
{
    if (!ok)
        abort();
}

static void fetch_algorithms(void)
{
    md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    md_sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    require(md_sha256 && md_sha512);
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context != NULL);
    return context;
}

static EVP_MD_CTX *new_hash(const EVP_MD *md)
{
    EVP_MD_CTX *context = new_context();
    require(EVP_DigestInit_ex2(context, md, NULL) == 1);
    return context;
}

struct hasher *hasher_new(enum digest_algo also)
{
    struct hasher *h = calloc(1, sizeof *h);

    require(h != NULL);
    pthread_once(&fetch_once, fetch_algorithms);
    h->sha256 = new_hash(md_sha256);
    if (also == DIGEST_SHA512)
        h->sha512 = new_hash(md_sha512);
    h->scratch = new_context();
    return h;
}

void hasher_free(struct hasher **h)
{
    if (!*h)
        return;
    EVP_MD_CTX_free((*h)->sha256);
    EVP_MD_CTX_free((*h)->sha512);
    EVP_MD_CTX_free((*h)->scratch);
    free(*h);
    *h = NULL;
}

void hasher_update(struct hasher *h, const void *p, size_t n)
{
    require(EVP_DigestUpdate(h->sha256, p, n) == 1);
    if (h->sha512)
        require(EVP_DigestUpdate(h->sha512, p, n) == 1);
}

void hasher_digest(const struct hasher *h, enum digest_algo algo, struct digest *out)
{
    const EVP_MD_CTX *context = algo == DIGEST_SHA512 ? h->sha512 : h->sha256;

    *out = (struct digest){.algo = algo};
    require(context && digest_bytes(algo) > 0);
    require(EVP_MD_CTX_copy_ex(h->scratch, context) == 1);
    require(EVP_DigestFinal_ex(h->scratch, out->bytes, NULL) == 1);
}

void sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES])
{
    pthread_once(&fetch_once, fetch_algorithms);
    require(EVP_Digest(p, n, out, NULL, md_sha256, NULL) == 1);
}
