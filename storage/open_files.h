/*
 * The blob files that one reader has open, by digest: those in use, each shared by all who use it,
 * and a bounded number of those that were used a moment ago. Opening costs more than sending a
 * small file. One thread.
 *
 * An open descriptor keeps the disk space of a file that was evicted. So what nobody uses is closed
 * soon (open_files_tend), and at the next call once a blob was removed. That a file is still what
 * its name stands for is looked at once in a turn.
 */
#ifndef YT_STORAGE_OPEN_FILES_H
#define YT_STORAGE_OPEN_FILES_H

#include "blob_files.h"

enum {
    OPEN_FILES_BUCKETS = 1024,
    OPEN_FILES_IDLE_MAX = 1024,
    OPEN_FILES_BLOCK = 1024 * 1024,         /* what is remembered as being in memory */
    OPEN_FILES_LOOK = 2 * OPEN_FILES_BLOCK, /* no less than what is sent to one client at a time */
};

struct open_files;

struct open_file {
    struct blob_id id;
    uint64_t size;
    int fd;
    unsigned uses;
    struct open_files *home;
    bool listed;                     /* else nobody new gets it: it is closed after its last use */
    struct open_file *next;          /* in its bucket */
    struct open_file *older, *newer; /* neighbours while it is idle */
    unsigned used_turn;              /* when it became idle */
    unsigned proven_turn;            /* when it was last looked at */
    unsigned char *seen;             /* a bit for each block that was found in memory; or NULL */
    unsigned seen_turn;              /* for which that holds */
};

struct open_files {
    struct blob_files *files;
    struct open_file *buckets[OPEN_FILES_BUCKETS];
    struct open_file *oldest, *newest; /* of the idle ones */
    unsigned count, idle_count, idle_max;
    unsigned turn;     /* from 1 on */
    unsigned removals; /* of files, that were heeded */
};

void open_files_init(struct open_files *of, struct blob_files *files);
/* Nothing may be in use. */
void open_files_destroy(struct open_files *of);

/* One more use of the blob's file, to be given back. Otherwise as files_open_blob. */
YT_MUST_CHECK enum err open_files_get(struct open_files *of, const struct blob_id *id,
                                      uint64_t size, struct open_file **out);
void open_file_share(struct open_file *file);
void open_file_release(struct open_file *file);
/* It has turned out shorter than it was: look at it before it is used again. */
void open_file_doubt(struct open_file *file);

/* The end of a turn: closes what has been idle since the one before. false: nothing is open. */
bool open_files_tend(struct open_files *of);

/*
 * Are the file's bytes from `offset` up to *end in memory? Looks at OPEN_FILES_LOOK at most, and
 * sets *end to where they are no longer, or where it stopped looking. false: not even the first.
 */
bool open_file_in_memory(struct open_file *file, uint64_t offset, uint64_t *end);

#endif
