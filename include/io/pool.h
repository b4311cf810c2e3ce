/* A few threads for calls that block: disk writes, fsync, hashing. First in, first out. */
#ifndef YT_IO_POOL_H
#define YT_IO_POOL_H

#include "io/reactor.h"

struct pool;

struct job {
    struct mail mail; /* carries `done` home */
    struct job *next;
    struct reactor *home;
    void (*work)(struct job *j); /* on a pool thread */
    void (*done)(struct job *j); /* on the home reactor */
};

YT_MUST_CHECK enum err pool_new(unsigned threads, struct pool **out, struct errinfo *info);
/* Finishes what was submitted and joins the threads. */
void pool_free(struct pool **p);
/* From the home reactor. The job is embedded in what it is about and must live until done. */
void pool_submit(struct pool *p, struct job *j, struct reactor *home);

#endif
