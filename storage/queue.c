#include "queue.h"

#include <assert.h>
#include <stdlib.h>

void queue_init(struct queue *q)
{
    *q = (struct queue){.first = NULL};
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->work, NULL);
    pthread_cond_init(&q->room, NULL);
    pthread_cond_init(&q->finished, NULL);
}

void queue_destroy(struct queue *q)
{
    assert(!q->first);
    pthread_cond_destroy(&q->finished);
    pthread_cond_destroy(&q->room);
    pthread_cond_destroy(&q->work);
    pthread_mutex_destroy(&q->mutex);
}

struct op *op_new(enum op_kind kind, struct slice record, struct slice body)
{
    struct op *op = calloc(1, sizeof *op + record.n + body.n);

    if (!op)
        abort();
    char *p = (char *)(op + 1);
    op->kind = kind;
    op->record = slice_of(p, record.n);
    if (record.n)
        memcpy(p, record.p, record.n);
    if (body.p)
        op->body = slice_of(p + record.n, body.n);
    if (body.n)
        memcpy(p + record.n, body.p, body.n);
    return op;
}

static size_t op_bytes(const struct op *op)
{
    return sizeof *op + op->record.n + op->body.n;
}

/* `share`: only up to 1/share of the bounds. */
static bool has_room(const struct queue *q, const struct op *op, size_t share)
{
    return q->count < QUEUE_OPS_MAX / share && q->bytes + op_bytes(op) <= QUEUE_BYTES_MAX / share;
}

static void append(struct queue *q, struct op *op)
{
    assert(!q->stopping);
    op->next = NULL;
    if (q->last)
        q->last->next = op;
    else
        q->first = op;
    q->last = op;
    q->count++;
    q->bytes += op_bytes(op);
    pthread_cond_signal(&q->work);
}

static bool push(struct queue *q, struct op *op, size_t share)
{
    pthread_mutex_lock(&q->mutex);
    bool room = has_room(q, op, share);
    if (room)
        append(q, op);
    pthread_mutex_unlock(&q->mutex);
    if (!room)
        free(op);
    return room;
}

enum err queue_push(struct queue *q, struct op *op)
{
    return push(q, op, 1) ? ERR_OK : ERR_LIMIT;
}

bool queue_push_note(struct queue *q, struct op *op)
{
    return push(q, op, 2);
}

enum err queue_call(struct queue *q, struct op *op)
{
    op->waited = true;
    op->finished = false;
    pthread_mutex_lock(&q->mutex);
    while (!has_room(q, op, 1))
        pthread_cond_wait(&q->room, &q->mutex);
    append(q, op);
    while (!op->finished)
        pthread_cond_wait(&q->finished, &q->mutex);
    pthread_mutex_unlock(&q->mutex);
    return op->result;
}

void queue_nudge(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->nudged = true;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->mutex);
}

void queue_stop(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->stopping = true;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->mutex);
}

static struct op *remove_first(struct queue *q)
{
    struct op *op = q->first;

    q->first = op->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    q->bytes -= op_bytes(op);
    op->next = NULL;
    return op;
}

size_t queue_take(struct queue *q, bool may_wait, struct op **ops, size_t max, bool *stopped)
{
    size_t n = 0;

    pthread_mutex_lock(&q->mutex);
    while (may_wait && !q->first && !q->nudged && !q->stopping)
        pthread_cond_wait(&q->work, &q->mutex);
    while (q->first && n < max)
        ops[n++] = remove_first(q);
    q->nudged = false;
    *stopped = q->stopping && !q->first;
    if (n)
        pthread_cond_broadcast(&q->room);
    pthread_mutex_unlock(&q->mutex);
    return n;
}

void queue_finish(struct queue *q, struct op *op)
{
    if (op->waited) {
        pthread_mutex_lock(&q->mutex);
        op->finished = true;
        pthread_cond_broadcast(&q->finished);
        pthread_mutex_unlock(&q->mutex);
        return;
    }
    if (op->done)
        op->done(op->arg, op->result);
    free(op);
}

size_t queue_length(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    size_t n = q->count;
    pthread_mutex_unlock(&q->mutex);
    return n;
}
