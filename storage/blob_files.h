/*
 * The files of the store: its folders, the lock, blobs under their digest, bytes on their way under
 * their key. All paths are relative to one open descriptor of the store's folder.
 *
 * files_place and files_remove_blob change blobs/ and belong to the writer thread alone; the rest
 * may be called from any thread.
 */
#ifndef YT_STORAGE_BLOB_FILES_H
#define YT_STORAGE_BLOB_FILES_H

#include "record.h"

#include <dirent.h>
#include <stdatomic.h>

enum { FILES_FOLDERS = 256 }; /* of blobs/sha256, one for each first byte of a digest */

struct blob_files {
    int root;
    int lock;
    _Atomic unsigned removals; /* of blobs, so far: who has one open may keep its space in use */
};

/*
 * Creates the folder (not its parents) and what belongs in it, and takes the lock. ERR_LIMIT:
 * another store has it.
 */
YT_MUST_CHECK enum err files_open(struct blob_files *files, const char *path, struct errinfo *info);
void files_close(struct blob_files *files);

/* --- blobs --- */

/*
 * A descriptor for reading, which the caller closes. ERR_NOTFOUND: there is no such file or it has
 * not this size.
 */
YT_MUST_CHECK enum err files_open_blob(const struct blob_files *files, const struct blob_id *id,
                                       uint64_t size, int *fd);
bool files_has_blob(const struct blob_files *files, const struct blob_id *id, uint64_t size);
/* ERR_NOTFOUND when it was not there. */
YT_MUST_CHECK enum err files_remove_blob(struct blob_files *files, const struct blob_id *id);

/*
 * Are the bytes [offset, end) in memory, so that sending them does not wait for the disk? Looks at
 * one page in thirty-two, since pages come and go in runs. Yes when the file system cannot tell.
 */
bool files_in_memory(int fd, uint64_t offset, uint64_t end);
/*
 * Brings bytes [offset, offset + n) into memory, and lets the disk begin with `ahead` more. Blocks.
 * ERR_IO also when the file is shorter.
 */
YT_MUST_CHECK enum err files_read_in(int fd, uint64_t offset, uint64_t n, uint64_t ahead);

/* Moves partial/<key> into blobs/. Safe on disk only after files_sync_folder(id->bytes[0]). */
YT_MUST_CHECK enum err files_place(const struct blob_files *files, const struct store_key *key,
                                   const struct blob_id *id, struct errinfo *info);
/* Undoes it. False: it could not be undone; the file stays, whole, where no record names it. */
bool files_take_back(const struct blob_files *files, const struct store_key *key,
                     const struct blob_id *id);
YT_MUST_CHECK enum err files_sync_folder(const struct blob_files *files, unsigned folder,
                                         struct errinfo *info);

struct file_info {
    uint64_t size;
    int64_t modified_ms; /* wall clock */
};

/* For a walk over folder 0 to 255; NULL with errno when there is none. The caller closes it. */
DIR *files_open_folder(const struct blob_files *files, unsigned folder);
/* The next blob; false at the end. Names that are no digest are passed over. */
bool files_next_blob(DIR *folder, struct blob_id *id, struct file_info *info);

/* --- partial --- */

/* A descriptor to read and write partial/<key>, which is created if it is not there. */
YT_MUST_CHECK enum err files_open_partial(const struct blob_files *files,
                                          const struct store_key *key, int *fd,
                                          struct errinfo *info);
void files_remove_partial(const struct blob_files *files, const struct store_key *key);
/* For a walk; NULL with errno. The caller closes it. */
DIR *files_open_partials(const struct blob_files *files);
/*
 * The next file; false at the end. One older than `litter_ms`, or whose name is no key, is
 * removed and passed over.
 */
bool files_next_partial(DIR *folder, int64_t litter_ms, struct store_key *key,
                        struct file_info *info);

/* Writes all at `offset`. ERR_FULL, ERR_IO. */
YT_MUST_CHECK enum err files_write(int fd, const void *bytes, size_t n, uint64_t offset,
                                   struct errinfo *info);
/*
 * Gives the file blocks for bytes to come, without changing its size; they are let go by
 * ftruncate. false: refused, which says nothing of writes.
 */
bool files_reserve(int fd, uint64_t offset, uint64_t n);
/* The bytes of a file are on disk when this has returned ERR_OK. */
YT_MUST_CHECK enum err files_sync(int fd, struct errinfo *info);

#endif
