/*
 * Content digests: as OCI writes them (image-spec, descriptor.md: "algorithm:hex", lower case), as
 * the web does (W3C Subresource Integrity: "algorithm-base64"), and as index pages do.
 */
#ifndef YT_BASE_DIGEST_H
#define YT_BASE_DIGEST_H

#include "base/err.h"
#include "base/slice.h"

/* The numbers are on disk. The last three vouch for bytes only where an index has nothing better.
 */
enum digest_algo {
    DIGEST_NONE = 0,
    DIGEST_SHA256 = 1,
    DIGEST_SHA512 = 2,
    DIGEST_SHA384 = 3,
    DIGEST_SHA224 = 4,
    DIGEST_SHA1 = 5,
    DIGEST_MD5 = 6,
};

enum { SHA256_BYTES = 32, SHA512_BYTES = 64, DIGEST_TEXT_MAX = 7 + 128 + 1 };

struct digest {
    enum digest_algo algo;
    unsigned char bytes[SHA512_BYTES]; /* the first digest_bytes(algo) count */
};

/* 0 for DIGEST_NONE, and for a number that names none. */
size_t digest_bytes(enum digest_algo algo);

/*
 * "sha256:<64 hex>" or "sha512:<128 hex>". ERR_PROTO when the text is no digest at all or of a
 * wrong length, ERR_NOTFOUND when it is well formed with an algorithm that is not known here.
 */
YT_MUST_CHECK enum err digest_parse(struct slice text, struct digest *d);

/*
 * A hash by the name that index pages give it ("sha256", "sha1", "md5", any case) and its hex, in
 * any case. The same errors.
 */
YT_MUST_CHECK enum err digest_from_hex(struct slice algorithm, struct slice hex, struct digest *d);

/*
 * Subresource Integrity metadata (section 3.5 of the recommendation, and npm's use of it): the
 * strongest of the hashes in it that can be computed here; of several equally strong ones the
 * first. ERR_NOTFOUND: none of them can. ERR_PROTO: it is no such text.
 */
YT_MUST_CHECK enum err digest_from_sri(struct slice text, struct digest *d);

/* Does `a` vouch for bytes better than `b`? DIGEST_NONE is the weakest. */
bool digest_is_stronger(enum digest_algo a, enum digest_algo b);

/* Writes the text with its NUL; returns the slice of it (without NUL). */
struct slice digest_text(const struct digest *d, char out[DIGEST_TEXT_MAX]);
bool digest_equal(const struct digest *a, const struct digest *b);

/* Lower-case hex of n bytes into out[2n + 1]. */
void hex_encode(const unsigned char *bytes, size_t n, char *out);
/* false unless text is exactly 2n lower-case hex characters. */
bool hex_decode(struct slice text, unsigned char *bytes, size_t n);

/* A running hash of one or two algorithms. One thread at a time. */
struct hasher;

/* Always computes SHA-256, and `also` too (DIGEST_NONE: no other). Aborts when memory is out. */
struct hasher *hasher_new(enum digest_algo also);
void hasher_free(struct hasher **h);
void hasher_update(struct hasher *h, const void *p, size_t n);
/* Digest of what was fed so far; the hasher may be fed on. `algo` must be one it computes. */
void hasher_digest(const struct hasher *h, enum digest_algo algo, struct digest *out);

/* One shot SHA-256. */
void sha256(const void *p, size_t n, unsigned char out[SHA256_BYTES]);
/* HMAC-SHA-256 (RFC 2104) under a key of 32 bytes. */
void hmac_sha256(const unsigned char key[SHA256_BYTES], struct slice text,
                 unsigned char out[SHA256_BYTES]);
/* Bytes that nobody can guess; aborts when the system has none. */
void random_bytes(void *out, size_t n);

#endif
