#include "storage/blob_files.c"

#include "storage_kit.h"

static struct blob_files the_files;

static int setup(void **state)
{
    struct errinfo info;

    return kit_setup(state) == 0 && files_open(&the_files, kit_path, &info) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    files_close(&the_files);
    return kit_teardown(state);
}

/* partial/<key n> with this body. */
static struct store_key make_partial(unsigned n, const struct kit_body *body)
{
    struct store_key key = kit_key(n);
    struct errinfo info;
    int fd;

    assert_int_equal(files_open_partial(&the_files, &key, &fd, &info), ERR_OK);
    assert_int_equal(files_write(fd, body->bytes, body->n, 0, &info), ERR_OK);
    assert_int_equal(files_sync(fd, &info), ERR_OK);
    close(fd);
    return key;
}

static void test_open_makes_the_folders(void **state)
{
    (void)state;
    assert_true(kit_exists("lock") && kit_exists("index") && kit_exists("partial"));
    assert_true(kit_exists("blobs/sha256"));
}

static int open_second(void)
{
    struct blob_files second;
    struct errinfo info = {.msg = ""};
    enum err err = files_open(&second, kit_path, &info);

    return err == ERR_LIMIT && !strstr(info.msg, "in use by another process") ? 100 : (int)err;
}

static void test_another_process_is_refused(void **state)
{
    (void)state;
    struct errinfo info;

    assert_int_equal(kit_in_child(open_second), ERR_LIMIT);
    files_close(&the_files);
    assert_int_equal(kit_in_child(open_second), ERR_OK);
    assert_int_equal(files_open(&the_files, kit_path, &info), ERR_OK);
}

static void test_open_of_what_cannot_be_a_folder(void **state)
{
    (void)state;
    struct blob_files files;
    struct errinfo info = {.msg = ""};

    assert_int_equal(files_open(&files, kit_file("none/store"), &info), ERR_IO);
    assert_int_equal(info.sys, ENOENT);
    kit_write_file("file", "x", 1);
    assert_int_equal(files_open(&files, kit_file("file"), &info), ERR_IO);
}

static void test_place_and_open(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 1000);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = make_partial(7, &body);
    struct errinfo info;
    int fd;

    assert_int_equal(files_open_blob(&the_files, &id, 1000, &fd), ERR_NOTFOUND);
    assert_int_equal(fd, -1);
    assert_int_equal(files_place(&the_files, &key, &id, &info), ERR_OK);
    assert_int_equal(files_sync_folder(&the_files, id.bytes[0], &info), ERR_OK);
    assert_true(kit_exists(kit_blob_name(&body.digest)));
    assert_int_equal(files_open_blob(&the_files, &id, 1000, &fd), ERR_OK);
    assert_true(kit_fd_is(fd, &body));
    close(fd);
    assert_true(files_has_blob(&the_files, &id, 1000));
    assert_int_equal(files_remove_blob(&the_files, &id), ERR_OK);
    assert_int_equal(files_remove_blob(&the_files, &id), ERR_NOTFOUND);
    assert_false(files_has_blob(&the_files, &id, 1000));
    kit_body_free(&body);
}

static void test_wrong_size_or_kind_is_not_found(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 1000);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = make_partial(7, &body);
    const char *name = kit_blob_name(&body.digest);
    struct errinfo info;
    int fd;

    assert_int_equal(files_place(&the_files, &key, &id, &info), ERR_OK);
    assert_int_equal(files_open_blob(&the_files, &id, 999, &fd), ERR_NOTFOUND);
    assert_false(files_has_blob(&the_files, &id, 1001));
    assert_int_equal(unlink(kit_file(name)), 0);
    assert_int_equal(symlink("/etc/passwd", kit_file(name)), 0);
    assert_int_equal(files_open_blob(&the_files, &id, 1000, &fd), ERR_NOTFOUND);
    assert_int_equal(unlink(kit_file(name)), 0);
    assert_int_equal(mkdir(kit_file(name), 0700), 0);
    assert_int_equal(files_open_blob(&the_files, &id, 1000, &fd), ERR_NOTFOUND);
    kit_body_free(&body);
}

static void test_take_back(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 10);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = make_partial(7, &body);
    struct errinfo info;
    int fd;

    assert_int_equal(files_place(&the_files, &key, &id, &info), ERR_OK);
    assert_true(files_take_back(&the_files, &key, &id));
    assert_false(files_take_back(&the_files, &key, &id));
    assert_false(files_has_blob(&the_files, &id, 10));
    assert_int_equal(files_open_partial(&the_files, &key, &fd, &info), ERR_OK);
    assert_true(kit_fd_is(fd, &body));
    close(fd);
    kit_body_free(&body);
}

static void test_place_of_what_is_not_there(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 10);
    struct blob_id id = blob_id_of(&body.digest);
    struct store_key key = kit_key(1);
    struct errinfo info = {.msg = ""};

    assert_int_equal(files_place(&the_files, &key, &id, &info), ERR_IO);
    assert_int_equal(info.sys, ENOENT);
    kit_body_free(&body);
}

static void test_walk_over_blobs(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 10);
    struct blob_id id = blob_id_of(&body.digest), found;
    struct store_key key = make_partial(7, &body);
    struct errinfo info;
    struct file_info file;
    char foreign[64];

    assert_null(files_open_folder(&the_files, id.bytes[0]));
    assert_int_equal(files_place(&the_files, &key, &id, &info), ERR_OK);
    snprintf(foreign, sizeof foreign, "blobs/sha256/%02x/README", id.bytes[0]);
    kit_write_file(foreign, "x", 1);
    DIR *folder = files_open_folder(&the_files, id.bytes[0]);
    assert_non_null(folder);
    assert_true(files_next_blob(folder, &found, &file));
    assert_memory_equal(found.bytes, id.bytes, sizeof id.bytes);
    assert_int_equal(file.size, 10);
    assert_in_range(file.modified_ms, clock_wall_ms() - 60000, clock_wall_ms() + 1000);
    assert_false(files_next_blob(folder, &found, &file));
    closedir(folder);
    assert_true(kit_exists(foreign));
    kit_body_free(&body);
}

static void test_walk_over_partials_removes_litter(void **state)
{
    (void)state;
    struct kit_body body = kit_body_new(1, 10);
    struct store_key found, key = make_partial(7, &body);
    struct file_info file;

    kit_write_file("partial/core", "x", 1);
    DIR *folder = files_open_partials(&the_files);
    assert_true(files_next_partial(folder, 0, &found, &file));
    assert_memory_equal(found.bytes, key.bytes, sizeof key.bytes);
    assert_int_equal(file.size, 10);
    assert_false(files_next_partial(folder, 0, &found, &file));
    closedir(folder);
    assert_false(kit_exists("partial/core"));

    folder = files_open_partials(&the_files);
    assert_false(files_next_partial(folder, clock_wall_ms() + 60000, &found, &file));
    closedir(folder);
    folder = files_open_partials(&the_files);
    assert_false(files_next_partial(folder, 0, &found, &file));
    closedir(folder);
    kit_body_free(&body);
}

static void test_write_to_what_cannot_be_written(void **state)
{
    (void)state;
    struct errinfo info = {.msg = ""};
    int fd = open("/dev/full", O_WRONLY);

    assert_int_equal(files_write(fd, "x", 1, 0, &info), ERR_FULL);
    assert_int_equal(info.sys, ENOSPC);
    close(fd);
    assert_int_equal(files_write(-1, "x", 1, 0, &info), ERR_IO);
    assert_int_equal(files_sync(-1, &info), ERR_IO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_open_makes_the_folders),
        TEST(test_another_process_is_refused),
        TEST(test_open_of_what_cannot_be_a_folder),
        TEST(test_place_and_open),
        TEST(test_wrong_size_or_kind_is_not_found),
        TEST(test_take_back),
        TEST(test_place_of_what_is_not_there),
        TEST(test_walk_over_blobs),
        TEST(test_walk_over_partials_removes_litter),
        TEST(test_write_to_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
