#include "open_files.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LIMIT_SHARE = 64, /* of the process's descriptors, for the idle files of one reader */
    IDLE_MIN = 8,
    IDLE_TURNS = 2,
};

static struct open_file **bucket_of(struct open_files *of, const struct blob_id *id)
{
    uint32_t hash;

    memcpy(&hash, id->bytes, sizeof hash);
    return &of->buckets[hash % OPEN_FILES_BUCKETS];
}

static unsigned removals(const struct open_files *of)
{
    return atomic_load_explicit(&of->files->removals, memory_order_acquire);
}

void open_files_init(struct open_files *of, struct blob_files *files)
{
    struct rlimit limit;
    unsigned share = OPEN_FILES_IDLE_MAX;

    *of = (struct open_files){.files = files, .turn = 1};
    of->removals = removals(of);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / LIMIT_SHARE < share)
        share = (unsigned)(limit.rlim_cur / LIMIT_SHARE);
    of->idle_max = share > IDLE_MIN ? share : IDLE_MIN;
}

/* --- the list of idle files, in order of age --- */

static void idle_add(struct open_files *of, struct open_file *file)
{
    file->used_turn = of->turn;
    file->newer = NULL;
    file->older = of->newest;
    if (of->newest)
        of->newest->newer = file;
    else
        of->oldest = file;
    of->newest = file;
    of->idle_count++;
}

static void idle_remove(struct open_files *of, struct open_file *file)
{
    if (file->older)
        file->older->newer = file->newer;
    else
        of->oldest = file->newer;
    if (file->newer)
        file->newer->older = file->older;
    else
        of->newest = file->older;
    of->idle_count--;
}

/* --- letting go --- */

/* Nobody new gets it. */
static void unlist(struct open_file *file)
{
    struct open_file **at = bucket_of(file->home, &file->id);

    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    file->listed = false;
}

static void close_file(struct open_file *file)
{
    file->home->count--;
    close(file->fd);
    free(file->seen);
    free(file);
}

static void close_oldest(struct open_files *of)
{
    struct open_file *file = of->oldest;

    assert(!file->older && file->listed);
    idle_remove(of, file);
    unlist(file);
    close_file(file);
}

static void close_idle(struct open_files *of)
{
    while (of->oldest)
        close_oldest(of);
}

/* Blobs were removed: what nobody uses goes, the rest is looked at before it is used again. */
static void heed_removals(struct open_files *of)
{
    unsigned now = removals(of);

    if (of->removals == now)
        return;
    of->removals = now;
    of->turn++;
    close_idle(of);
}

void open_files_destroy(struct open_files *of)
{
    close_idle(of);
    assert(of->count == 0);
}

bool open_files_tend(struct open_files *of)
{
    heed_removals(of);
    of->turn++;
    while (of->oldest && of->turn - of->oldest->used_turn >= IDLE_TURNS)
        close_oldest(of);
    return of->count > 0;
}

/* --- getting --- */

/* Neither removed nor changed in length by somebody else. */
static bool is_proven(struct open_file *file)
{
    struct stat st;

    if (file->proven_turn == file->home->turn)
        return true;
    if (fstat(file->fd, &st) != 0 || st.st_nlink == 0 || (uint64_t)st.st_size != file->size)
        return false;
    file->proven_turn = file->home->turn;
    return true;
}

static struct open_file *find(struct open_files *of, const struct blob_id *id, uint64_t size)
{
    struct open_file *file = *bucket_of(of, id);

    while (file && memcmp(file->id.bytes, id->bytes, sizeof id->bytes) != 0)
        file = file->next;
    if (!file)
        return NULL;
    if (file->size == size && is_proven(file)) {
        if (file->uses++ == 0)
            idle_remove(of, file);
        return file;
    }
    unlist(file);
    if (file->uses == 0) {
        idle_remove(of, file);
        close_file(file);
    }
    return NULL;
}

/* When descriptors run out, the idle ones are given up. */
static enum err open_blob(struct open_files *of, const struct blob_id *id, uint64_t size, int *fd)
{
    enum err err = files_open_blob(of->files, id, size, fd);

    if (err != ERR_IO || (errno != EMFILE && errno != ENFILE) || !of->oldest)
        return err;
    close_idle(of);
    return files_open_blob(of->files, id, size, fd);
}

enum err open_files_get(struct open_files *of, const struct blob_id *id, uint64_t size,
                        struct open_file **out)
{
    heed_removals(of);
    *out = find(of, id, size);
    if (*out)
        return ERR_OK;
    int fd;
    enum err err = open_blob(of, id, size, &fd);
    if (err != ERR_OK)
        return err;
    struct open_file *file = calloc(1, sizeof *file);
    if (!file)
        abort();
    struct open_file **bucket = bucket_of(of, id);
    *file = (struct open_file){.id = *id,
                               .size = size,
                               .fd = fd,
                               .uses = 1,
                               .home = of,
                               .listed = true,
                               .next = *bucket,
                               .proven_turn = of->turn};
    *bucket = file;
    of->count++;
    *out = file;
    return ERR_OK;
}

void open_file_share(struct open_file *file)
{
    file->uses++;
}

void open_file_release(struct open_file *file)
{
    struct open_files *of = file->home;

    if (--file->uses > 0)
        return;
    if (!file->listed) {
        close_file(file);
        return;
    }
    idle_add(of, file);
    if (of->idle_count > of->idle_max)
        close_oldest(of);
}

void open_file_doubt(struct open_file *file)
{
    file->proven_turn = file->home->turn - 1;
}

/* --- in memory? --- */

/* The bit of the block at `offset`; NULL when there is no memory to remember it. */
static unsigned char *seen_byte(struct open_file *file, uint64_t offset)
{
    size_t bytes = (size_t)(file->size / OPEN_FILES_BLOCK / 8 + 1);

    if (!file->seen)
        file->seen = calloc(1, bytes);
    else if (file->seen_turn != file->home->turn)
        memset(file->seen, 0, bytes);
    file->seen_turn = file->home->turn;
    return file->seen ? file->seen + offset / OPEN_FILES_BLOCK / 8 : NULL;
}

/* Up to the end of the block at most, which it sets *end to. */
static bool block_in_memory(struct open_file *file, uint64_t offset, uint64_t *end)
{
    uint64_t block = offset / OPEN_FILES_BLOCK * OPEN_FILES_BLOCK;
    uint64_t block_end = block + OPEN_FILES_BLOCK;
    unsigned char bit = (unsigned char)(1U << offset / OPEN_FILES_BLOCK % 8);
    unsigned char *seen = seen_byte(file, offset);

    if (block_end > file->size)
        block_end = file->size;
    if (*end > block_end)
        *end = block_end;
    if (seen && *seen & bit)
        return true;
    if (!files_in_memory(file->fd, block, block_end))
        return files_in_memory(file->fd, offset, *end);
    if (seen)
        *seen |= bit;
    return true;
}

bool open_file_in_memory(struct open_file *file, uint64_t offset, uint64_t *end)
{
    uint64_t limit = *end - offset < OPEN_FILES_LOOK ? *end : offset + OPEN_FILES_LOOK;

    *end = limit;
    if (!block_in_memory(file, offset, end))
        return false;
    while (*end < limit) {
        uint64_t stop = limit;
        if (!block_in_memory(file, *end, &stop))
            break;
        *end = stop;
    }
    return true;
}
