#include "record.h"

#include <assert.h>
#include <endian.h>

enum { ENTRY_VERSION = 2, BLOB_VERSION = 1, TOTALS_VERSION = 1 };
enum {
    ENTRY_IMMUTABLE = 1,
    ENTRY_INLINE = 2,
    ENTRY_GZIP = 4,
    ENTRY_LIFETIME = 8,
    ENTRY_MUST_REVALIDATE = 16,
    ENTRY_FLAGS = 31
};
enum { BLOB_INLINE = 1 };
enum { TOTALS_CLEAN = 1 };
enum { STATUS_MIN = 100, STATUS_MAX = 599 };

/* Where the parts of an entry's head are. */
enum { AT_FLAGS = 1, AT_LENGTH = 2, AT_VALIDATED = 22, ENTRY_HEAD_BYTES = 30 };

struct blob_id blob_id_of(const struct digest *digest)
{
    struct blob_id id;

    assert(digest->algo == DIGEST_SHA256);
    memcpy(id.bytes, digest->bytes, sizeof id.bytes);
    return id;
}

/* --- writing: `overflow` sticks, later writes do nothing --- */

struct writing {
    char *p;
    size_t left;
    bool overflow;
};

static void write_bytes(struct writing *w, const void *bytes, size_t n)
{
    if (w->overflow || n > w->left) {
        w->overflow = true;
        return;
    }
    if (n)
        memcpy(w->p, bytes, n);
    w->p += n;
    w->left -= n;
}

static void write_number(struct writing *w, uint64_t value, size_t n)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    write_bytes(w, bytes, n);
}

static void write_slice(struct writing *w, struct slice s)
{
    if (s.n > UINT16_MAX)
        w->overflow = true;
    write_number(w, s.n, 2);
    write_bytes(w, s.p, s.n);
}

static void write_digest(struct writing *w, const struct digest *d)
{
    write_number(w, d->algo, 1);
    write_bytes(w, d->bytes, digest_bytes(d->algo));
}

/* --- reading: `failed` sticks, later reads give zeros --- */

struct reading {
    const char *p;
    size_t left;
    bool failed;
};

static const char *read_bytes(struct reading *r, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        return NULL;
    }
    const char *p = r->p;
    r->p += n;
    r->left -= n;
    return p;
}

static inline uint64_t read_number(struct reading *r, size_t n)
{
    const char *p = read_bytes(r, n);
    uint64_t value = 0;

    if (p)
        memcpy(&value, p, n);
    return le64toh(value);
}

/* Times are never negative, so that they sort as unsigned numbers too. */
static int64_t read_time(struct reading *r)
{
    uint64_t value = read_number(r, 8);

    if (value > INT64_MAX)
        r->failed = true;
    return r->failed ? 0 : (int64_t)value;
}

static struct slice read_slice(struct reading *r)
{
    size_t n = (size_t)read_number(r, 2);
    const char *p = read_bytes(r, n);

    return slice_of(p, p ? n : 0);
}

static void read_digest(struct reading *r, struct digest *d)
{
    enum digest_algo algo = (enum digest_algo)read_number(r, 1);
    size_t n = digest_bytes(algo);

    *d = (struct digest){.algo = DIGEST_NONE};
    if (algo != DIGEST_NONE && n == 0)
        r->failed = true;
    const char *p = read_bytes(r, n);
    if (!p || n == 0)
        return;
    d->algo = algo;
    memcpy(d->bytes, p, n);
}

/* Begins to read a record of this version whose flags are all known. */
static struct reading read_head(struct slice record, unsigned version, unsigned known_flags,
                                unsigned *flags)
{
    struct reading r = {record.p, record.n, false};

    if (read_number(&r, 1) != version)
        r.failed = true;
    *flags = (unsigned)read_number(&r, 1);
    if (*flags & ~known_flags)
        r.failed = true;
    return r;
}

static enum err read_end(const struct reading *r)
{
    return r->failed || r->left ? ERR_CORRUPT : ERR_OK;
}

/* --- entry --- */

static uint64_t time_bits(int64_t ms)
{
    return ms < 0 ? 0 : (uint64_t)ms;
}

static unsigned flags_of(const struct store_entry *entry)
{
    return (entry->immutable ? ENTRY_IMMUTABLE : 0) | (entry->gzip ? ENTRY_GZIP : 0) |
           (entry->has_lifetime ? ENTRY_LIFETIME : 0) |
           (entry->must_revalidate ? ENTRY_MUST_REVALIDATE : 0);
}

enum err record_encode_entry(const struct store_entry *entry, char out[STORE_RECORD_MAX], size_t *n)
{
    struct writing w = {out, STORE_RECORD_MAX, false};

    assert(entry->content.algo == DIGEST_SHA256);
    if (entry->status < STATUS_MIN || entry->status > STATUS_MAX)
        return ERR_LIMIT;
    write_number(&w, ENTRY_VERSION, 1);
    write_number(&w, flags_of(entry), 1);
    write_number(&w, 0, 2); /* the length, when it is known */
    write_number(&w, (uint64_t)entry->status, 2);
    write_number(&w, entry->size, 8);
    write_number(&w, time_bits(entry->fetched_ms), 8);
    write_number(&w, time_bits(entry->validated_ms), 8);
    if (entry->has_lifetime)
        write_number(&w, time_bits(entry->lifetime_ms), 8);
    write_digest(&w, &entry->content);
    write_digest(&w, &entry->shown);
    write_digest(&w, &entry->made_from);
    write_slice(&w, entry->name);
    write_slice(&w, entry->content_type);
    write_slice(&w, entry->fields);
    write_slice(&w, entry->etag);
    write_slice(&w, entry->last_modified);
    write_slice(&w, entry->url);
    write_slice(&w, entry->vary);
    *n = STORE_RECORD_MAX - w.left;
    if (w.overflow)
        return ERR_LIMIT;
    w = (struct writing){out + AT_LENGTH, 2, false};
    write_number(&w, *n, 2);
    return ERR_OK;
}

enum err record_decode_entry(struct slice record, struct store_entry *entry)
{
    unsigned flags;
    struct reading r = read_head(record, ENTRY_VERSION, ENTRY_FLAGS, &flags);

    *entry = (struct store_entry){
        .immutable = flags & ENTRY_IMMUTABLE,
        .gzip = flags & ENTRY_GZIP,
        .has_lifetime = flags & ENTRY_LIFETIME,
        .must_revalidate = flags & ENTRY_MUST_REVALIDATE,
    };
    if (read_number(&r, 2) != record.n)
        return ERR_CORRUPT;
    entry->status = (int)read_number(&r, 2);
    entry->size = read_number(&r, 8);
    entry->fetched_ms = read_time(&r);
    entry->validated_ms = read_time(&r);
    if (entry->has_lifetime)
        entry->lifetime_ms = read_time(&r);
    read_digest(&r, &entry->content);
    read_digest(&r, &entry->shown);
    read_digest(&r, &entry->made_from);
    entry->name = read_slice(&r);
    entry->content_type = read_slice(&r);
    entry->fields = read_slice(&r);
    entry->etag = read_slice(&r);
    entry->last_modified = read_slice(&r);
    entry->url = read_slice(&r);
    entry->vary = read_slice(&r);
    if (entry->status < STATUS_MIN || entry->status > STATUS_MAX ||
        entry->content.algo != DIGEST_SHA256)
        return ERR_CORRUPT;
    return read_end(&r);
}

/* --- an entry and its body --- */

enum err record_split_value(struct slice value, struct entry_value *parts)
{
    unsigned flags;
    struct reading r = read_head(value, ENTRY_VERSION, ENTRY_FLAGS, &flags);
    size_t n = (size_t)read_number(&r, 2);

    if (r.failed || n < ENTRY_HEAD_BYTES || n > value.n || n > STORE_RECORD_MAX)
        return ERR_CORRUPT;
    *parts = (struct entry_value){
        .record = slice_to(value, n),
        .body = slice_from(value, n),
        .has_body = flags & ENTRY_INLINE,
    };
    bool fits = parts->has_body ? parts->body.n <= STORE_INLINE_MAX : parts->body.n == 0;
    return fits ? ERR_OK : ERR_CORRUPT;
}

size_t record_join_value(struct slice record, struct slice body, char out[ENTRY_VALUE_MAX])
{
    assert(record.n >= ENTRY_HEAD_BYTES && record.n <= STORE_RECORD_MAX);
    assert(body.n <= STORE_INLINE_MAX);
    memcpy(out, record.p, record.n);
    out[AT_FLAGS] = (char)((out[AT_FLAGS] & ~ENTRY_INLINE) | (body.p ? ENTRY_INLINE : 0));
    if (body.n)
        memcpy(out + record.n, body.p, body.n);
    return record.n + body.n;
}

void record_set_validated(char *record, int64_t validated_ms)
{
    struct writing w = {record + AT_VALIDATED, 8, false};

    write_number(&w, time_bits(validated_ms), 8);
}

/* --- blob and totals --- */

void record_encode_blob(const struct blob_record *blob, char out[BLOB_RECORD_BYTES])
{
    struct writing w = {out, BLOB_RECORD_BYTES, false};

    write_number(&w, BLOB_VERSION, 1);
    write_number(&w, blob->is_inline ? BLOB_INLINE : 0, 1);
    write_number(&w, blob->size, 8);
    write_number(&w, time_bits(blob->last_use_ms), 8);
    assert(!w.overflow && w.left == 0);
}

enum err record_decode_blob(struct slice record, struct blob_record *blob)
{
    unsigned flags;
    struct reading r = read_head(record, BLOB_VERSION, BLOB_INLINE, &flags);

    *blob = (struct blob_record){.is_inline = flags & BLOB_INLINE};
    blob->size = read_number(&r, 8);
    blob->last_use_ms = read_time(&r);
    return read_end(&r);
}

void record_encode_totals(const struct totals_record *totals, char out[TOTALS_RECORD_BYTES])
{
    struct writing w = {out, TOTALS_RECORD_BYTES, false};

    write_number(&w, TOTALS_VERSION, 1);
    write_number(&w, totals->clean ? TOTALS_CLEAN : 0, 1);
    write_number(&w, totals->entries, 8);
    write_number(&w, totals->blobs, 8);
    write_number(&w, totals->bytes, 8);
    assert(!w.overflow && w.left == 0);
}

enum err record_decode_totals(struct slice record, struct totals_record *totals)
{
    unsigned flags;
    struct reading r = read_head(record, TOTALS_VERSION, TOTALS_CLEAN, &flags);

    *totals = (struct totals_record){.clean = flags & TOTALS_CLEAN};
    totals->entries = read_number(&r, 8);
    totals->blobs = read_number(&r, 8);
    totals->bytes = read_number(&r, 8);
    return read_end(&r);
}
