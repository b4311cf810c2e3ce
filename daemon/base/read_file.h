#ifndef YT_BASE_READ_FILE_H
#define YT_BASE_READ_FILE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends the content of a regular file. ERR_IO: it cannot be read or is of another kind;
 * ERR_LIMIT: it does not fit into out->max. The text of *info fits behind "FILE: " and does not
 * name the file.
 */
YT_MUST_CHECK enum err read_file(const char *path, struct buf *out, struct errinfo *info);

#endif
