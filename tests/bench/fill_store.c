/*
 * Fills a store as many pulls would, for the rows about scale.
 *
 *     fill_store FOLDER TAG COUNT FILES MAX_BYTES
 *
 * COUNT small manifests under the tags TAG0, TAG1, ... and FILES bigger bodies, which lie in
 * blobs/, under TAG-file0, TAG-file1, ..., all of the repository library/bench of the route "hub".
 * The keys are made by the cache's own function, so that a request finds them. MAX_BYTES bounds the
 * store; 0: what it holds now. Prints one line of JSON; the time is that from the first entry to
 * the last commit.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/cache/worker.h"
#include <err.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_BYTES = 512,
    FILE_BYTES = 64 * 1024,
    QUEUED_MAX = 2048, /* entries given to the writer that are not committed */
    TAG_BYTES = 64,
};

/* More than any store of ours holds. */
#define ANY_BYTES (INT64_C(1) << 40)

#define ROUTE "hub"
#define TAGS "library/bench/manifests/"
#define TYPE "application/vnd.docker.distribution.manifest.v2+json"

static sem_t room;
static uint64_t failed; /* by the writer thread alone, until the store is closed */

static void committed(void *arg, enum err result)
{
    (void)arg;
    failed += result != ERR_OK;
    sem_post(&room);
}

/* A manifest that says its own number; no two are the same. */
static struct slice make_body(char *body, size_t n, const char *tag)
{
    int head = snprintf(body, n,
                        "{\"schemaVersion\": 2, \"mediaType\": \"" TYPE
                        "\", \"layers\": [], \"annotations\": {\"tag\": \"%s\"}}",
                        tag);
    memset(body + head, ' ', n - (size_t)head);
    return slice_of(body, n);
}

static struct store_entry make_entry(struct slice resource, struct slice body)
{
    int64_t now_ms = clock_wall_ms();
    struct store_entry entry = {
        .name = resource,
        .status = 200,
        .content_type = SLICE(TYPE),
        .content.algo = DIGEST_SHA256,
        .size = body.n,
        .fetched_ms = now_ms,
        .validated_ms = now_ms,
    };
    sha256(body.p, body.n, entry.content.bytes);
    entry.shown = entry.content;
    return entry;
}

/* A body in blobs/, as a fill brings it there. */
static void commit_file(struct store *store, const struct store_key *key,
                        const struct digest *content, struct slice body)
{
    struct partial *partial;
    struct digest found;
    struct errinfo info = {.msg = ""};
    uint64_t offset;
    if (partial_open(store, key, content, false, &partial, &offset, &info) != ERR_OK ||
        partial_append(partial, body.p, body.n, &info) != ERR_OK ||
        partial_verify(partial, &found) != ERR_OK ||
        partial_commit(partial, &found, &info) != ERR_OK)
        errx(1, "a blob: %s", info.msg);
    partial_free(&partial, false);
}

static void put(struct store *store, const char *tag, char *bytes, size_t n)
{
    char text[sizeof ROUTE TAGS + 1 + TAG_BYTES];
    struct store_key key;
    int length = snprintf(text, sizeof text, ROUTE " " TAGS "%s", tag);
    struct slice name = slice_of(text, (size_t)length), body = make_body(bytes, n, tag);
    struct store_entry entry = make_entry(name, body);
    cache_key(SLICE(ROUTE), slice_from(name, sizeof ROUTE), SLICE(""), &key);
    if (n > STORE_INLINE_MAX) {
        commit_file(store, &key, &entry.content, body);
        body = slice_of(NULL, 0);
    }
    sem_wait(&room);
    if (store_put(store, &key, &entry, body, committed, NULL) != ERR_OK)
        errx(1, "%s cannot be stored", text);
}

static void put_all(struct store *store, const char *prefix, uint64_t count, size_t bytes)
{
    char tag[TAG_BYTES], *body = malloc(bytes);
    if (!body)
        err(1, "malloc");
    for (uint64_t i = 0; i < count; i++) {
        snprintf(tag, sizeof tag, "%s%" PRIu64, prefix, i);
        put(store, tag, body, bytes);
    }
    free(body);
}

static void wait_for_commits(void)
{
    for (int i = 0; i < QUEUED_MAX; i++)
        sem_wait(&room);
}

static void fill(struct store *store, const char *tag, uint64_t count, uint64_t files)
{
    struct store_stats before, after;
    char of_files[TAG_BYTES];
    store_stats(store, &before);
    int64_t begin_ms = clock_mono_ms();
    snprintf(of_files, sizeof of_files, "%s-file", tag);
    put_all(store, tag, count, BODY_BYTES);
    put_all(store, of_files, files, FILE_BYTES);
    wait_for_commits();
    double seconds = (double)(clock_mono_ms() - begin_ms) / 1e3;
    store_stats(store, &after);
    if (failed)
        errx(1, "%" PRIu64 " entries were not stored", failed);
    printf("{\"seconds\": %.3f, \"put\": %" PRIu64 ", \"held_before\": %" PRIu64
           ", \"held\": %" PRIu64 "}\n",
           seconds, count + files, before.entries, after.entries);
}

static struct store *open_store(const char *folder, int64_t max_size)
{
    struct store_options options = {.path = folder, .max_size = max_size};
    struct errinfo info = {.msg = ""};
    struct store *store;
    if (store_open(&options, &store, &info) != ERR_OK)
        errx(1, "%s: %s", folder, info.msg);
    return store;
}

/* What the store holds now. */
static int64_t held_bytes(const char *folder)
{
    struct store_stats stats;
    struct store *store = open_store(folder, ANY_BYTES);
    store_stats(store, &stats);
    store_close(&store);
    return (int64_t)stats.bytes;
}

int main(int argc, char **argv)
{
    if (argc != 6 || strlen(argv[2]) > TAG_BYTES / 2)
        errx(2, "usage: fill_store FOLDER TAG COUNT FILES MAX_BYTES");
    log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    sem_init(&room, 0, QUEUED_MAX);
    int64_t max_size = strtoll(argv[5], NULL, 10);
    struct store *store = open_store(argv[1], max_size ? max_size : held_bytes(argv[1]));
    fill(store, argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    store_close(&store);
    return 0;
}
