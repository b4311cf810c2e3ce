#include "blob_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTIAL_FOLDER "partial"
#define BLOB_PARENT "blobs/sha256"

enum {
    FOLDER_MODE = 0750,
    FILE_MODE = 0640,
    SAMPLE_BYTES = 128 * 1024,
    READ_IN_BYTES = 32 * 1024,
    HEX_BYTES = 2 * SHA256_BYTES,
    BLOB_FOLDER_BYTES = sizeof BLOB_PARENT + 3,
    BLOB_PATH_BYTES = BLOB_FOLDER_BYTES + 1 + HEX_BYTES,
    PARTIAL_PATH_BYTES = sizeof PARTIAL_FOLDER + 1 + HEX_BYTES,
};

_Static_assert((int)STORE_KEY_BYTES == (int)SHA256_BYTES, "keys and digests have one form of name");

/* --- paths --- */

static void blob_folder(char out[BLOB_FOLDER_BYTES], unsigned folder)
{
    snprintf(out, BLOB_FOLDER_BYTES, BLOB_PARENT "/%02x", folder & 0xffU);
}

static void blob_path(char out[BLOB_PATH_BYTES], const struct blob_id *id)
{
    blob_folder(out, id->bytes[0]);
    out[BLOB_FOLDER_BYTES - 1] = '/';
    hex_encode(id->bytes, sizeof id->bytes, out + BLOB_FOLDER_BYTES);
}

static void partial_path(char out[PARTIAL_PATH_BYTES], const struct store_key *key)
{
    memcpy(out, PARTIAL_FOLDER "/", sizeof PARTIAL_FOLDER);
    hex_encode(key->bytes, sizeof key->bytes, out + sizeof PARTIAL_FOLDER);
}

/* --- the folder and the lock --- */

static enum err make_folder(int root, const char *path, struct errinfo *info)
{
    if (mkdirat(root, path, FOLDER_MODE) != 0 && errno != EEXIST)
        return err_sys(info, "cannot create %s", path);
    return ERR_OK;
}

static enum err sync_folder(int root, const char *path, struct errinfo *info)
{
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(info, "cannot open %s", path);
    enum err err = fsync(fd) == 0 ? ERR_OK : err_sys(info, "cannot sync %s", path);
    close(fd);
    return err;
}

static enum err make_folders(int root, struct errinfo *info)
{
    static const char *const folders[] = {"index", "blobs", BLOB_PARENT, PARTIAL_FOLDER};
    enum err err = ERR_OK;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && err == ERR_OK; i++)
        err = make_folder(root, folders[i], info);
    if (err == ERR_OK)
        err = sync_folder(root, "blobs", info);
    return err == ERR_OK ? sync_folder(root, ".", info) : err;
}

/*
 * A POSIX lock belongs to the process alone. One by flock would be inherited by the child that
 * checks the index, and outlive a daemon that is killed during its start.
 */
static enum err take_lock(struct blob_files *files, const char *path, struct errinfo *info)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    files->lock = openat(files->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (files->lock < 0)
        return err_sys(info, "cannot create %s/lock", path);
    if (fcntl(files->lock, F_SETLK, &whole) == 0)
        return ERR_OK;
    if (errno == EACCES || errno == EAGAIN)
        return err_set(info, ERR_LIMIT, "%s is in use by another process", path);
    return err_sys(info, "cannot lock %s/lock", path);
}

enum err files_open(struct blob_files *files, const char *path, struct errinfo *info)
{
    *files = (struct blob_files){.root = -1, .lock = -1};
    enum err err = make_folder(AT_FDCWD, path, info);
    if (err != ERR_OK)
        return err;
    files->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->root < 0)
        return err_sys(info, "cannot open %s", path);
    err = take_lock(files, path, info);
    if (err == ERR_OK)
        err = make_folders(files->root, info);
    if (err != ERR_OK)
        files_close(files);
    return err;
}

void files_close(struct blob_files *files)
{
    if (files->root >= 0)
        close(files->root);
    if (files->lock >= 0)
        close(files->lock);
    *files = (struct blob_files){.root = -1, .lock = -1};
}

/* --- blobs --- */

enum err files_open_blob(const struct blob_files *files, const struct blob_id *id, uint64_t size,
                         int *fd)
{
    char path[BLOB_PATH_BYTES];
    struct stat st;

    blob_path(path, id);
    *fd = openat(files->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? ERR_NOTFOUND : ERR_IO;
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return ERR_OK;
    close(*fd);
    *fd = -1;
    return ERR_NOTFOUND;
}

bool files_has_blob(const struct blob_files *files, const struct blob_id *id, uint64_t size)
{
    char path[BLOB_PATH_BYTES];
    struct stat st;

    blob_path(path, id);
    return fstatat(files->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == size;
}

enum err files_remove_blob(struct blob_files *files, const struct blob_id *id)
{
    char path[BLOB_PATH_BYTES];

    blob_path(path, id);
    if (unlinkat(files->root, path, 0) != 0)
        return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
    atomic_fetch_add_explicit(&files->removals, 1, memory_order_release);
    return ERR_OK;
}

bool files_in_memory(int fd, uint64_t offset, uint64_t end)
{
    char byte;
    struct iovec one = {.iov_base = &byte, .iov_len = 1};

    while (offset < end) {
        if (preadv2(fd, &one, 1, (off_t)offset, RWF_NOWAIT) < 0 && errno == EAGAIN)
            return false;
        uint64_t last = end - 1;
        offset = offset < last && last - offset < SAMPLE_BYTES ? last : offset + SAMPLE_BYTES;
    }
    return true;
}

enum err files_read_in(int fd, uint64_t offset, uint64_t n, uint64_t ahead)
{
    char piece[READ_IN_BYTES];
    uint64_t end = offset + n;

    posix_fadvise(fd, (off_t)offset, (off_t)(n + ahead), POSIX_FADV_WILLNEED);
    while (offset < end) {
        size_t want = end - offset < sizeof piece ? (size_t)(end - offset) : sizeof piece;
        ssize_t got = pread(fd, piece, want, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_IO;
        offset += (uint64_t)got;
    }
    return ERR_OK;
}

/* The folder of a digest is made when the first file comes to it. */
static enum err make_blob_folder(const struct blob_files *files, unsigned folder,
                                 struct errinfo *info)
{
    char path[BLOB_FOLDER_BYTES];

    blob_folder(path, folder);
    enum err err = make_folder(files->root, path, info);
    return err == ERR_OK ? sync_folder(files->root, BLOB_PARENT, info) : err;
}

enum err files_place(const struct blob_files *files, const struct store_key *key,
                     const struct blob_id *id, struct errinfo *info)
{
    char from[PARTIAL_PATH_BYTES], to[BLOB_PATH_BYTES];

    partial_path(from, key);
    blob_path(to, id);
    if (renameat(files->root, from, files->root, to) == 0)
        return ERR_OK;
    if (errno == ENOENT) {
        enum err err = make_blob_folder(files, id->bytes[0], info);
        if (err != ERR_OK || renameat(files->root, from, files->root, to) == 0)
            return err;
    }
    return err_sys(info, "cannot rename %s to %s", from, to);
}

bool files_take_back(const struct blob_files *files, const struct store_key *key,
                     const struct blob_id *id)
{
    char from[PARTIAL_PATH_BYTES], to[BLOB_PATH_BYTES];

    partial_path(from, key);
    blob_path(to, id);
    return renameat(files->root, to, files->root, from) == 0;
}

enum err files_sync_folder(const struct blob_files *files, unsigned folder, struct errinfo *info)
{
    char path[BLOB_FOLDER_BYTES];

    blob_folder(path, folder);
    return sync_folder(files->root, path, info);
}

/* --- walks --- */

static DIR *open_walk(const struct blob_files *files, const char *path)
{
    int fd = openat(files->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    DIR *folder = fdopendir(fd);
    if (!folder)
        close(fd);
    return folder;
}

static bool inspect(DIR *folder, const char *name, struct file_info *info)
{
    struct stat st;

    if (fstatat(dirfd(folder), name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    info->size = (uint64_t)st.st_size;
    info->modified_ms = st.st_mtim.tv_sec * INT64_C(1000) + st.st_mtim.tv_nsec / 1000000;
    return true;
}

DIR *files_open_folder(const struct blob_files *files, unsigned folder)
{
    char path[BLOB_FOLDER_BYTES];

    blob_folder(path, folder);
    return open_walk(files, path);
}

bool files_next_blob(DIR *folder, struct blob_id *id, struct file_info *info)
{
    struct dirent *item;

    while ((item = readdir(folder)))
        if (hex_decode(slice_str(item->d_name), id->bytes, sizeof id->bytes) &&
            inspect(folder, item->d_name, info))
            return true;
    return false;
}

DIR *files_open_partials(const struct blob_files *files)
{
    return open_walk(files, PARTIAL_FOLDER);
}

bool files_next_partial(DIR *folder, int64_t litter_ms, struct store_key *key,
                        struct file_info *info)
{
    struct dirent *item;

    while ((item = readdir(folder))) {
        if (!inspect(folder, item->d_name, info))
            continue;
        if (hex_decode(slice_str(item->d_name), key->bytes, sizeof key->bytes) &&
            info->modified_ms >= litter_ms)
            return true;
        unlinkat(dirfd(folder), item->d_name, 0);
    }
    return false;
}

/* --- partial --- */

enum err files_open_partial(const struct blob_files *files, const struct store_key *key, int *fd,
                            struct errinfo *info)
{
    char path[PARTIAL_PATH_BYTES];

    partial_path(path, key);
    *fd = openat(files->root, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    return *fd >= 0 ? ERR_OK : err_sys(info, "cannot open %s", path);
}

void files_remove_partial(const struct blob_files *files, const struct store_key *key)
{
    char path[PARTIAL_PATH_BYTES];

    partial_path(path, key);
    unlinkat(files->root, path, 0);
}

enum err files_write(int fd, const void *bytes, size_t n, uint64_t offset, struct errinfo *info)
{
    const char *p = bytes;

    while (n) {
        ssize_t wrote = pwrite(fd, p, n, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return err_sys(info, "cannot write");
        p += wrote;
        n -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return ERR_OK;
}

bool files_reserve(int fd, uint64_t offset, uint64_t n)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n) == 0;
}

enum err files_sync(int fd, struct errinfo *info)
{
    return fdatasync(fd) == 0 ? ERR_OK : err_sys(info, "cannot sync");
}
