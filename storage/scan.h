/*
 * The walk over blobs/ after the index was lost or the store was not closed in order: a file
 * without a record is hashed, and then entered, or removed if its bytes are not what its name says.
 * Writer thread only, a step at a time between batches.
 */
#ifndef YT_STORAGE_SCAN_H
#define YT_STORAGE_SCAN_H

#include "blob_files.h"
#include "index.h"

enum { SCAN_FOUND_MAX = 256 };

struct store;

struct scan_file {
    struct blob_id id;
    struct file_info info;
};

struct scan {
    bool due;    /* blobs/ may hold files without a record; true until a walk came to its end */
    bool active; /* a walk is under way; the rest is its state */
    struct index_reader reader;
    unsigned folder; /* 0 to 255, or FILES_FOLDERS when all were walked */
    DIR *dir;        /* of `folder`, or NULL before its first file */
    struct scan_file file;
    int fd; /* of `file` while it is being hashed, or -1 */
    struct hasher *hasher;
    struct scan_file *found; /* right ones, to be entered with one commit */
    size_t found_count;
    uint64_t found_bytes;
    uint64_t entered;
    uint64_t removed;
};

/* Begins a walk if one is due. Also before the writer thread runs. */
YT_MUST_CHECK enum err scan_start(struct store *s, struct errinfo *info);
/* A few milliseconds' work of an active walk. */
void scan_step(struct store *s);
/* Ends the walk, done or not. What was not done is left to the next start. */
void scan_stop(struct store *s);

#endif
