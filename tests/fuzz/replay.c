/* Runs a fuzz target over files and folders of files: the corpus as a regression test. */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *path)
{
    perror(path);
    exit(1);
}

/* Exactly as many bytes as the file has, so that the sanitizer sees a read past them. */
static void replay_file(const char *path)
{
    struct stat st;
    FILE *f = fopen(path, "rb");

    if (!f || fstat(fileno(f), &st) != 0)
        fail(path);
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size)
        fail(path);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static unsigned replay_folder(const char *path)
{
    char file[PATH_MAX];
    struct dirent *entry;
    unsigned count = 0;
    DIR *folder = opendir(path);

    if (!folder)
        fail(path);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        replay_file(file);
        count++;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0)
            fail(argv[i]);
        if (S_ISDIR(st.st_mode)) {
            count += replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
            count++;
        }
    }
    printf("%u inputs\n", count);
    return count ? 0 : 1;
}
