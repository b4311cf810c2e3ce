/* Opening the index whatever state it is in. */
#ifndef YT_STORAGE_RECOVER_H
#define YT_STORAGE_RECOVER_H

#include "base/err.h"
#include "blob_files.h"
#include "index.h"

/*
 * At start, before there are threads. Opens path/index. One that is damaged (found by a check in a
 * child process, which may crash on it; or marked by an earlier run) or of another format is moved
 * aside to index.broken-<time>, of which only the newest is kept, and a new one is begun.
 */
YT_MUST_CHECK enum err recover_index(const struct blob_files *files, const char *path,
                                     size_t map_size, struct index **out, struct errinfo *info);

/*
 * For an index that needs mending while it is in use: opens it again, moved aside first if it is
 * damaged. Readers see nothing for that while. Writer thread only.
 */
YT_MUST_CHECK enum err recover_mend(const struct blob_files *files, struct index *index,
                                    struct errinfo *info);

#endif
