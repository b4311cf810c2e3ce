/*
 * The bounded queue of work for the writer thread, first in, first out. Any thread pushes; one
 * thread takes.
 */
#ifndef YT_STORAGE_QUEUE_H
#define YT_STORAGE_QUEUE_H

#include "record.h"

#include <pthread.h>

enum op_kind {
    OP_PUT,         /* key, record, body */
    OP_VALIDATE,    /* key, content, ms */
    OP_REMOVE,      /* key */
    OP_TOUCH,       /* content, ms */
    OP_COMMIT,      /* key (of the partial), content, size: move it into blobs/ and enter it */
    OP_CHECK_ENTRY, /* key: a reader could not read it */
    OP_CHECK_BLOB,  /* content: a reader did not find its bytes */
    OP_ROOM,        /* size: the disk is full; evict at least so many bytes */
    OP_KIND_COUNT
};

struct op {
    struct op *next;
    enum op_kind kind;
    struct store_key key;
    struct blob_id content;
    uint64_t size;
    int64_t ms;
    struct slice record; /* both in the memory of the op, behind it */
    struct slice body;
    store_done_f *done; /* or NULL */
    void *arg;
    enum err result;
    bool placed;   /* OP_COMMIT: the file was moved */
    bool held;     /* OP_COMMIT: the content is held already, the file was left */
    bool waited;   /* a thread waits in queue_call, and owns the op */
    bool finished; /* of a waited op; under the queue's mutex */
};

enum { QUEUE_OPS_MAX = 4096, QUEUE_BYTES_MAX = 32 * 1024 * 1024 };

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t work;     /* something to take, a nudge, or the stop */
    pthread_cond_t room;     /* something was taken */
    pthread_cond_t finished; /* a waited op was finished */
    struct op *first;
    struct op *last;
    size_t count;
    size_t bytes;
    bool nudged;
    bool stopping;
};

void queue_init(struct queue *q);
/* Must be empty. */
void queue_destroy(struct queue *q);

/* An op with copies of `record` and `body`. */
struct op *op_new(enum op_kind kind, struct slice record, struct slice body);

/* Takes over the op. ERR_LIMIT: the queue is full, and the op is freed. */
YT_MUST_CHECK enum err queue_push(struct queue *q, struct op *op);
/* The same for what may be lost: only while the queue is less than half full. */
bool queue_push_note(struct queue *q, struct op *op);
/* Waits for room and then until the op is finished; the caller keeps it. Gives its result. */
YT_MUST_CHECK enum err queue_call(struct queue *q, struct op *op);

/* Makes a waiting queue_take return. */
void queue_nudge(struct queue *q);
/* No push may follow. What is queued can still be taken. */
void queue_stop(struct queue *q);

/*
 * Takes up to `max` ops. With `may_wait` waits for one, for a nudge or for the stop. *stopped: the
 * queue was stopped and is now empty.
 */
size_t queue_take(struct queue *q, bool may_wait, struct op **ops, size_t max, bool *stopped);
/* Calls `done` and frees the op, or wakes who waits for it. */
void queue_finish(struct queue *q, struct op *op);

size_t queue_length(struct queue *q);

#endif
