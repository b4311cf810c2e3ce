/* Content digests as OCI writes them (image-spec, descriptor.md: "algorithm:hex", lower case). */
#ifndef YT_BASE_DIGEST_H
#define YT_BASE_DIGEST_H

#include "base/err.h"
#include "base/slice.h"

enum digest_algo { DIGEST_NONE = 0, DIGEST_SHA256 = 1, DIGEST_SHA512 = 2 };

enum { SHA256_BYTES = 32, SHA512_BYTES = 64, DIGEST_TEXT_MAX = 7 + 128 + 1 };

struct digest {
    enum digest_algo algo;
    unsigned char bytes[SHA512_BYTES]; /* the first digest_bytes(algo) count */
};

size_t digest_bytes(enum digest_algo algo);

/*
 * "sha256:<64 hex>" or "sha512:<128 hex>". ERR_PROTO when the text is no digest at all or of a
 * wrong length, ERR_NOTFOUND when it is well formed with an algorithm that is not known here.
 */
YT_MUST_CHECK enum err digest_parse(struct slice text, struct digest *d);

/* Writes the text with its NUL; returns the slice of it (without NUL). */
struct slice digest_text(const struct digest *d, char out[DIGEST_TEXT_MAX]);
bool digest_equal(const struct digest *a, const struct digest *b);

/* Lower-case hex of n bytes into out[2n + 1]. */
void hex_encode(const unsigned char *bytes, size_t n, char *out);
/* false unless text is exactly 2n lower-case hex characters. */
bool hex_decode(struct slice text, unsigned char *bytes, size_t n);

/* A running hash of one or of both algorithms. One thread at a time. */
struct hasher;

/* Always computes SHA-256; SHA-512 too when `also` says so. Aborts when memory is out. */
struct hasher *hasher_new(enum digest_algo also);
void hasher_free(struct hasher **h);
void hasher_update(struct hasher *h, const void *p, size_t n);
/* Digest of what was fed so far; the hasher may be fed on. `algo` must be one it computes. */
void hasher_digest(const struct hasher *h, enum digest_algo algo, struct digest *out);

/* One shot SHA-256. */
void sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES]);

#endif
