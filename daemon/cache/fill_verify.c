/* A complete body is checked before anybody gets its last byte. */
#include "fill.h"
#include "worker.h"
#include <sys/mman.h>

/* The plan's own check over the whole file, mapped for its length. */
static enum err inspect_file(struct fill *f)
{
    if (f->received == 0)
        return f->plan.inspect(slice_of("", 0), f->head.content_type);
    void *p = mmap(NULL, (size_t)f->received, PROT_READ, MAP_PRIVATE, partial_fd(f->partial), 0);
    if (p == MAP_FAILED)
        return err_sys(&f->job_info, "mmap");
    enum err rc = f->plan.inspect(slice_of(p, (size_t)f->received), f->head.content_type);
    munmap(p, (size_t)f->received);
    return rc;
}

/* The plan's check over the body, which is in `small` or in the partial file. */
static enum err check_form(struct fill *f)
{
    int fd = f->partial ? partial_fd(f->partial) : -1;
    enum err rc =
        reading_check(&f->plan, f->head.url, f->head.content_type, f->head.gzip, fd, f->small);
    f->malformed = rc == ERR_CORRUPT || rc == ERR_LIMIT;
    return f->malformed ? ERR_CORRUPT : rc;
}

static enum err verify_file(struct fill *f)
{
    enum err rc = partial_verify(f->partial, &f->content);
    if (rc == ERR_OK && f->plan.inspect && f->storing)
        rc = inspect_file(f);
    return rc == ERR_OK && f->plan.check && f->storing ? check_form(f) : rc;
}

/* A body that was hashed here, not by its partial file. */
static enum err verify_memory(struct fill *f)
{
    hasher_digest(f->hasher, DIGEST_SHA256, &f->content);
    if (f->expected.algo != DIGEST_NONE) {
        struct digest have;
        hasher_digest(f->hasher, f->expected.algo, &have);
        if (!digest_equal(&have, &f->expected))
            return ERR_CORRUPT;
    }
    if ((!f->plan.inspect && !f->plan.check) || !f->storing)
        return ERR_OK;
    f->small = fill_small_body(f);
    if (!f->small.p)
        return ERR_NOMEM;
    enum err rc = f->plan.inspect ? f->plan.inspect(f->small, f->head.content_type) : ERR_OK;
    return rc == ERR_OK && f->plan.check ? check_form(f) : rc;
}

enum err fill_verify(struct fill *f)
{
    return f->partial ? verify_file(f) : verify_memory(f);
}
