#include "recover.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BROKEN_PREFIX "index.broken-"
#define MARK "index.damaged"

enum {
    FOLDER_MODE = 0750,
    CHECK_BUDGET_MS = 20, /* a part of what a start may take */
};

/* What the child says; a child that died says "damaged". */
enum { CHECK_FINE = 0, CHECK_DAMAGED = 1, CHECK_UNDECIDED = 2 };

/* In the child: LMDB may abort, or run into a page that is not there. */
static void check_and_exit(const char *folder, size_t map_size)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    const struct rlimit no_core = {0, 0};

    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        signal(deadly[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &no_core);
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    switch (index_check(folder, map_size, CHECK_BUDGET_MS)) {
    case ERR_OK:
        _exit(CHECK_FINE);
    case ERR_CORRUPT:
        _exit(CHECK_DAMAGED);
    default:
        _exit(CHECK_UNDECIDED);
    }
}

static bool is_marked(const struct blob_files *files)
{
    struct stat st;

    return fstatat(files->root, MARK, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_damaged(const char *folder, size_t map_size)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        check_and_exit(folder, map_size);
    if (child < 0)
        return false;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return !WIFEXITED(status) || WEXITSTATUS(status) == CHECK_DAMAGED;
}

/* --- moving aside --- */

/* An index folder holds LMDB's two files and nothing else. */
static void remove_index_folder(int root, const char *name)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", name, files[i]);
        unlinkat(root, path, 0);
    }
    unlinkat(root, name, AT_REMOVEDIR);
}

/* They may be big: one is enough to find out what happened. */
static void remove_earlier_broken(int root)
{
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *item;

    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((item = readdir(folder)))
        if (slice_starts(slice_str(item->d_name), SLICE(BROKEN_PREFIX)))
            remove_index_folder(root, item->d_name);
    closedir(folder);
}

static enum err move_aside(int root, struct errinfo *info)
{
    char to[64];

    remove_earlier_broken(root);
    snprintf(to, sizeof to, BROKEN_PREFIX "%lld", (long long)(clock_wall_ms() / 1000));
    /* An earlier attempt may have come half way. */
    if ((renameat(root, "index", root, to) != 0 && errno != ENOENT) ||
        (mkdirat(root, "index", FOLDER_MODE) != 0 && errno != EEXIST))
        return err_sys(info, "cannot move the damaged index aside");
    if (unlinkat(root, MARK, 0) != 0 && errno != ENOENT)
        return err_sys(info, "cannot remove " MARK);
    log_warn("index_rebuilt", LF_STR("moved_to", to));
    return ERR_OK;
}

enum err recover_index(const struct blob_files *files, const char *path, size_t map_size,
                       struct index **out, struct errinfo *info)
{
    char folder[PATH_MAX];
    enum err err = ERR_CORRUPT;

    if (snprintf(folder, sizeof folder, "%s/index", path) >= (int)sizeof folder - 64)
        return err_set(info, ERR_LIMIT, "the path of the store is too long");
    if (!is_marked(files) && !is_damaged(folder, map_size))
        err = index_open(folder, map_size, out, info);
    if (err != ERR_CORRUPT)
        return err;
    if ((err = move_aside(files->root, info)) != ERR_OK)
        return err;
    return index_open(folder, map_size, out, info);
}

enum err recover_mend(const struct blob_files *files, struct index *index, struct errinfo *info)
{
    enum err err = ERR_OK;

    index_suspend(index);
    if (index_is_damaged(index) || is_marked(files))
        err = move_aside(files->root, info);
    return err == ERR_OK ? index_resume(index, info) : err;
}
