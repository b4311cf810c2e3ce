#include "io/pool.h"
#include "base/container.h"
#include <pthread.h>
#include <stdlib.h>

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work_ready;
    struct job *first;
    struct job **last;
    bool closing;
    unsigned count;
    pthread_t threads[];
};

static void on_job_done(struct mail *m)
{
    struct job *j = container_of(m, struct job, mail);
    j->done(j);
}

static struct job *next_job(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->closing)
        pthread_cond_wait(&p->work_ready, &p->lock);
    struct job *j = p->first;
    if (j) {
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    struct job *j;
    while ((j = next_job(p))) {
        j->work(j);
        reactor_post(j->home, &j->mail);
    }
    return NULL;
}

enum err pool_new(unsigned threads, struct pool **out, struct errinfo *info)
{
    struct pool *p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
    if (!p)
        abort();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work_ready, NULL);
    p->last = &p->first;
    for (; p->count < threads; p->count++) {
        if (pthread_create(&p->threads[p->count], NULL, pool_thread, p) != 0) {
            pool_free(&p);
            return err_set(info, ERR_IO, "cannot start a background thread");
        }
    }
    *out = p;
    return ERR_OK;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work_ready);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work_ready);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pp = NULL;
}

void pool_submit(struct pool *p, struct job *j, struct reactor *home)
{
    j->next = NULL;
    j->home = home;
    j->mail.run = on_job_done;
    pthread_mutex_lock(&p->lock);
    *p->last = j;
    p->last = &j->next;
    pthread_cond_signal(&p->work_ready);
    pthread_mutex_unlock(&p->lock);
}
