#include "daemon/io/pool.c"

#include "loop.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

enum { JOBS = 200 };

static struct loop loop;
static pthread_t home_thread;
static unsigned done_count;
static char order[8];
static sem_t may_go_on;

struct task {
    struct job job;
    char c;
    unsigned wanted; /* the loop ends when so many are done */
    atomic_uint worked;
};

static int set_up(void **state)
{
    (void)state;
    loop_open(&loop);
    home_thread = pthread_self();
    done_count = 0;
    memset(order, 0, sizeof order);
    return sem_init(&may_go_on, 0, 0);
}

static int tear_down(void **state)
{
    (void)state;
    loop_close(&loop);
    return sem_destroy(&may_go_on);
}

static void work(struct job *j)
{
    struct task *t = container_of(j, struct task, job);
    assert_false(pthread_equal(pthread_self(), home_thread));
    atomic_fetch_add(&t->worked, 1);
}

static void done(struct job *j)
{
    struct task *t = container_of(j, struct task, job);
    assert_true(pthread_equal(pthread_self(), home_thread));
    if (t->c)
        order[done_count] = t->c;
    if (++done_count == t->wanted)
        reactor_stop(loop.reactor);
}

static void submit(struct pool *p, struct task *t)
{
    t->job.work = t->job.work ? t->job.work : work;
    t->job.done = done;
    pool_submit(p, &t->job, loop.reactor);
}

static struct pool *pool_of(unsigned threads)
{
    struct pool *p = NULL;
    assert_int_equal(pool_new(threads, &p, NULL), ERR_OK);
    return p;
}

static void test_every_job_works_once_there_and_is_done_at_home(void **state)
{
    (void)state;
    static struct task tasks[JOBS];
    struct pool *p = pool_of(3);
    for (int i = 0; i < JOBS; i++) {
        tasks[i].wanted = JOBS;
        submit(p, &tasks[i]);
    }
    reactor_run(loop.reactor);
    pool_free(&p);
    assert_null(p);
    assert_int_equal(done_count, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&tasks[i].worked), 1);
}

static void test_jobs_are_taken_in_the_order_submitted(void **state)
{
    (void)state;
    struct task a = {.c = 'a', .wanted = 3}, b = {.c = 'b', .wanted = 3};
    struct task c = {.c = 'c', .wanted = 3};
    struct pool *p = pool_of(1);
    submit(p, &a);
    submit(p, &b);
    submit(p, &c);
    reactor_run(loop.reactor);
    pool_free(&p);
    assert_string_equal(order, "abc");
}

static void wait_for_leave(struct job *j)
{
    sem_wait(&may_go_on);
    work(j);
}

/* A job that blocks must not keep others from another thread of the pool. */
static void test_a_blocked_job_delays_only_its_own_thread(void **state)
{
    (void)state;
    struct task slow = {.job = {.work = wait_for_leave}, .c = 's', .wanted = 2};
    struct task quick = {.c = 'q', .wanted = 1};
    struct pool *p = pool_of(2);
    submit(p, &slow);
    submit(p, &quick);
    reactor_run(loop.reactor);
    assert_string_equal(order, "q");
    assert_int_equal(atomic_load(&slow.worked), 0);
    sem_post(&may_go_on);
    pool_free(&p);
    assert_int_equal(atomic_load(&slow.worked), 1);
    reactor_run(loop.reactor); /* its mail is there */
    assert_string_equal(order, "qs");
}

static void test_freeing_finishes_what_was_submitted(void **state)
{
    (void)state;
    static struct task tasks[JOBS];
    struct pool *p = pool_of(1);
    memset(tasks, 0, sizeof tasks);
    tasks[0].job.work = wait_for_leave;
    for (int i = 0; i < JOBS; i++)
        submit(p, &tasks[i]);
    sem_post(&may_go_on);
    pool_free(&p);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&tasks[i].worked), 1);
}

static void test_a_pool_without_work_is_freed(void **state)
{
    (void)state;
    struct pool *p = pool_of(4);
    pool_free(&p);
    assert_null(p);
    pool_free(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_job_works_once_there_and_is_done_at_home),
        TEST(test_jobs_are_taken_in_the_order_submitted),
        TEST(test_a_blocked_job_delays_only_its_own_thread),
        TEST(test_freeing_finishes_what_was_submitted),
        TEST(test_a_pool_without_work_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
