/* A held body that is not in memory, whatever the file system says. */
#include "storage/store.h"

static bool memory_has(const struct store_body *body, uint64_t offset, uint64_t *end);
#define store_body_in_memory memory_has
#include "daemon/cache/lookup.c"
#undef store_body_in_memory
#include "daemon/cache/cold_read.c"

#include "engine_kit.h"

enum { SIZE = 5 * 1024 * 1024 + 100 };

static _Atomic uint64_t cold_from; /* nothing is in memory from here on, ever */

static bool memory_has(const struct store_body *body, uint64_t offset, uint64_t *end)
{
    uint64_t cold = atomic_load(&cold_from);
    store_body_in_memory(body, offset, end);
    if (offset<cold && * end> cold)
        *end = cold;
    return offset < cold;
}

static struct held_disk the_disk;

static void disk_stops(void)
{
    disk_stop(&the_disk, the_site.cold_pool, 1, the_site.seats[1].reactor);
}

/* The body is held, and cold from `from` on. */
static void begin_cold(uint64_t from)
{
    begin(SIZE);
    atomic_store(&cold_from, UINT64_MAX);
    guest_leave(serve_one(0, wants_blob));
    atomic_store(&cold_from, from);
}

static void end_site(void)
{
    kit_end(NULL);
    disk_end(&the_disk);
}

static const char *blob_file(void)
{
    static char path[256];
    char hex[2 * SHA256_BYTES + 1];
    hex_encode(the_origin.digest.bytes, SHA256_BYTES, hex);
    snprintf(path, sizeof path, "%s/blobs/sha256/%.2s/%s", the_site.path, hex, hex);
    return path;
}

/* Each piece has gone from memory again when the next is asked for: it is sent all the same. */
static void test_a_cold_body_is_read_in_piece_by_piece(void **state)
{
    (void)state;
    begin_cold(0);
    struct guest *g = enter(0, wants_blob);
    check_body_of(g, &the_origin);
    assert_true(g->waits >= SIZE / (1024 * 1024));
}

static void test_a_part_of_a_cold_body(void **state)
{
    (void)state;
    begin_cold(1000);
    struct guest *g = new_guest(1, wants_blob);
    g->first = 900;
    g->end = SIZE - 50;
    guest_enter(g);
    check_body_of(g, &the_origin);
    assert_true(g->waits > 0);
}

static void test_nobody_waits_for_what_is_in_memory(void **state)
{
    (void)state;
    begin_cold(UINT64_MAX);
    disk_stops();
    struct guest *g = enter(0, wants_blob);
    check_body_of(g, &the_origin);
    assert_int_equal(g->waits, 0);
    disk_go(&the_disk);
    end_site();
}

/* While the disk keeps one waiting, the worker serves others, and fills go on. */
static void test_a_slow_disk_is_no_matter_of_others(void **state)
{
    (void)state;
    begin_cold(4096);
    disk_stops();
    struct guest *slow = enter(0, wants_blob);
    await(seen(slow, ready));
    struct guest *quick = new_guest(0, wants_blob);
    quick->end = 4096;
    guest_enter(quick);
    check_body_of(quick, &the_origin);
    check_body_of(enter(0, wants_list), &the_origin);
    assert_false(seen(slow, complete));
    assert_int_equal(slow->n, 4096);
    assert_int_equal(slow->waits, 1);
    disk_go(&the_disk);
    check_body_of(slow, &the_origin);
    end_site();
}

static void test_who_leaves_does_not_wait_for_the_disk(void **state)
{
    (void)state;
    begin_cold(0);
    disk_stops();
    struct guest *g = enter(0, wants_blob);
    await(seen(g, ready));
    guest_leave(g);
    assert_int_equal(the_site.seats[0].worker->cold_reads, 1);
    assert_false(seen(g, complete) || seen(g, broken));
    site_order_stop(&the_site);
    kit_sleep(20);
    assert_false(atomic_load(&the_site.seats[0].idle)); /* the worker stays for it */
    disk_go(&the_disk);
    site_stop_workers(&the_site);
    assert_int_equal(the_site.seats[0].worker->cold_reads, 0);
    site_forget_stop(&the_site);
    end_site();
}

/* Bytes that cannot be read break the connection; the next client finds that they are gone. */
static void test_a_file_that_was_shortened_breaks_off(void **state)
{
    (void)state;
    begin_cold(0);
    disk_stops();
    struct guest *g = enter(0, wants_blob);
    await(seen(g, ready));
    assert_int_equal(truncate(blob_file(), 1000), 0);
    disk_go(&the_disk);
    guest_wait_end(g);
    assert_true(seen(g, broken));
    assert_int_equal(g->n, 0);
    guest_leave(g);
    atomic_store(&cold_from, UINT64_MAX);
    check_body_of(enter(0, wants_blob), &the_origin);
    assert_int_equal(origin_got(&the_origin), 2);
    end_site();
}

/* --- open files --- */

static unsigned links_to_blob(void)
{
    char name[64], target[512];
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        count += strcmp(target, blob_file()) == 0;
    }
    return count;
}

/* A hit leaves its file open for the next one; an idle worker closes it after a moment. */
static void test_a_file_is_closed_a_while_after_its_last_use(void **state)
{
    (void)state;
    begin_cold(UINT64_MAX);
    struct guest *a = enter(0, wants_blob), *b = enter(0, wants_blob);
    check_body_of(a, &the_origin);
    check_body_of(b, &the_origin);
    assert_int_equal(links_to_blob(), 1);
    guest_leave(a);
    guest_leave(b);
    assert_int_equal(links_to_blob(), 1);
    await(links_to_blob() == 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, kit_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cold_body_is_read_in_piece_by_piece),
        TEST(test_a_part_of_a_cold_body),
        TEST(test_nobody_waits_for_what_is_in_memory),
        TEST(test_a_slow_disk_is_no_matter_of_others),
        TEST(test_who_leaves_does_not_wait_for_the_disk),
        TEST(test_a_file_that_was_shortened_breaks_off),
        TEST(test_a_file_is_closed_a_while_after_its_last_use),
    };
    return cmocka_run_group_tests(tests, kit_begin, NULL);
}
