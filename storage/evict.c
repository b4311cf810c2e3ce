#include "evict.h"

#include "base/counters.h"
#include "base/log.h"
#include "internal.h"

enum {
    STEP_CONTENTS = 64,  /* forgotten in one transaction at most */
    SMALL_STEP = 2,      /* when the index has no room for such a transaction */
    STEP_ENTRIES = 4096, /* and with them the entries that name them */
    STEPS_MAX = 16,      /* in one call, so that the queue is not kept waiting for long */
    SLACK_SHARE = 64,    /* 1/64 of max_size is made free beyond what is needed */
    /* Evict when less than 1/4 of the map is left, until 1/3 is: a body in the index needs pages
     * side by side, which are hard to find among the last free ones. */
    TIGHT_SHARE = 4,
    LOOSE_SHARE = 3,
};

/* What one transaction forgets. */
struct step {
    struct catalog_txn txn;
    struct blob_id files[STEP_CONTENTS]; /* to be unlinked once it is committed */
    size_t file_count;
    size_t content_count;
    size_t entry_budget;
    uint64_t freed;
};

/* ERR_NOTFOUND: there is nothing to evict. */
static enum err forget_oldest(struct store *s, struct step *step)
{
    struct blob_id id;
    struct blob_record was;
    bool gone;
    int64_t last_use_ms = INT64_MAX;
    uint64_t size, before = step->txn.totals.bytes;
    enum err err = catalog_oldest(&step->txn, &id, &last_use_ms);

    if (err != ERR_OK && err != ERR_NOTFOUND)
        return err;
    if (partials_drop_oldest(s, last_use_ms, &size)) {
        step->freed += size;
        return ERR_OK;
    }
    if (err == ERR_OK && recent_use_ms(&s->recent, &id) > last_use_ms)
        return catalog_touch(&step->txn, &id, recent_use_ms(&s->recent, &id)); /* not so old */
    if (err == ERR_OK)
        err = catalog_forget_oldest(&step->txn, &step->entry_budget, &id, &gone, &was);
    if (err != ERR_OK)
        return err;
    step->freed += before - step->txn.totals.bytes;
    step->content_count += gone;
    if (gone && !was.is_inline)
        step->files[step->file_count++] = id;
    return ERR_OK;
}

/* The files go after the commit that forgot them: no record ever names a file that is gone. */
static void unlink_files(struct store *s, const struct step *step)
{
    for (size_t i = 0; i < step->file_count; i++)
        if (files_remove_blob(&s->files, &step->files[i]) == ERR_IO)
            s->scan.due = true; /* the next start finds it */
}

/*
 * One transaction: evicts `wanted` bytes, or `contents` contents. ERR_NOTFOUND: there was nothing
 * to evict.
 */
static enum err evict_once(struct store *s, uint64_t wanted, int contents, uint64_t *freed)
{
    struct step step = {.entry_budget = STEP_ENTRIES / STEP_CONTENTS * (size_t)contents};
    struct errinfo info = {.msg = ""};
    enum err err = catalog_begin(s->index, &step.txn);

    *freed = 0;
    if (err != ERR_OK)
        return err;
    for (int i = 0; i < contents && step.freed < wanted && step.entry_budget && err == ERR_OK; i++)
        err = forget_oldest(s, &step);
    if (err != ERR_OK && (err != ERR_NOTFOUND || step.freed == 0)) {
        catalog_abort(&step.txn);
        err_set(&info, err, "eviction: %s", err_name(err));
    } else if ((err = catalog_commit(&step.txn, &info)) == ERR_OK) {
        store_publish(s, &step.txn.totals);
        unlink_files(s, &step);
        counter_add(COUNTER_EVICTIONS, step.content_count);
        *freed = step.freed;
    }
    if (err != ERR_NOTFOUND)
        store_note_write(s, WRITE_INDEX, err, &info);
    return err;
}

/* Forgetting needs pages, too; where there are few, a small transaction makes the first room. */
static enum err evict_step(struct store *s, uint64_t wanted, uint64_t *freed)
{
    enum err err = evict_once(s, wanted, STEP_CONTENTS, freed);

    return err == ERR_FULL ? evict_once(s, wanted, SMALL_STEP, freed) : err;
}

bool evict_to_bound(struct store *s, uint64_t coming)
{
    uint64_t freed, used = store_used(s), slack = s->max_size / SLACK_SHARE;

    if (used + coming <= s->max_size)
        return false;
    uint64_t low = s->max_size > coming + slack ? s->max_size - coming - slack : 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        used = store_used(s);
        if (used <= low)
            return false;
        if (evict_step(s, used - low, &freed) != ERR_OK)
            return false;
    }
    return true;
}

bool evict_for_disk(struct store *s, uint64_t need)
{
    uint64_t freed, share = store_used(s) / SLACK_SHARE, total = 0;
    uint64_t wanted = need > share ? need : share;

    for (int i = 0; i < STEPS_MAX && total < wanted; i++) {
        if (evict_step(s, wanted - total, &freed) != ERR_OK)
            break;
        total += freed;
    }
    if (total)
        log_warn("disk_full", LF_INT("evicted_bytes", total));
    return total > 0;
}

bool evict_for_index(struct store *s)
{
    uint64_t freed;

    if (!index_is_tight(s->index, TIGHT_SHARE))
        return false;
    for (int i = 0; i < STEPS_MAX; i++) {
        if (evict_step(s, UINT64_MAX, &freed) != ERR_OK || !index_is_tight(s->index, LOOSE_SHARE))
            return false;
    }
    return true;
}
