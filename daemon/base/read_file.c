#include "read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_SIZE = 16384 };

/* The buffer is full: there must be nothing more. */
static enum err expect_end(int fd, size_t max, struct errinfo *info)
{
    char more;
    ssize_t n = read(fd, &more, 1);

    if (n < 0)
        return err_sys(info, "cannot be read");
    return n == 0 ? ERR_OK : err_set(info, ERR_LIMIT, "larger than %zu bytes", max);
}

/* Straight into the buffer, so that no copy of a secret stays behind on the stack. */
static enum err read_all(int fd, struct buf *out, struct errinfo *info)
{
    while (out->n < out->max) {
        size_t room = out->max - out->n;
        size_t want = room < READ_SIZE ? room : READ_SIZE;
        char *p = buf_reserve(out, want);
        if (!p)
            return err_set(info, ERR_NOMEM, "cannot be read: out of memory");
        ssize_t n = read(fd, p, want);
        if (n < 0)
            return err_sys(info, "cannot be read");
        if (n == 0)
            return ERR_OK;
        out->n += (size_t)n;
    }
    return expect_end(fd, out->max, info);
}

enum err read_file(const char *path, struct buf *out, struct errinfo *info)
{
    /* Non-blocking, so that opening a FIFO does not wait for somebody who writes. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    enum err err;

    if (fd < 0)
        return err_sys(info, "cannot be read");
    if (fstat(fd, &st) < 0)
        err = err_sys(info, "cannot be read");
    else if (!S_ISREG(st.st_mode))
        err = err_set(info, ERR_IO, "cannot be read: not a regular file");
    else
        err = read_all(fd, out, info);
    close(fd);
    return err;
}
