/*
 * Runs a fuzz target once over each file that is named, or that stands in a folder that is named:
 * the corpus as a regression test, also for compilers without libFuzzer. The output is TAP, one
 * line per file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct inputs {
    char **paths;
    size_t n;
};

static void require(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(2);
}

static void add_input(struct inputs *inputs, char *path)
{
    inputs->paths = reallocarray(inputs->paths, inputs->n + 1, sizeof inputs->paths[0]);
    require(inputs->paths && path, "memory");
    inputs->paths[inputs->n++] = path;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add_folder(struct inputs *inputs, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_visible, alphasort);

    require(n >= 0, folder);
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        require(asprintf(&path, "%s/%s", folder, entries[i]->d_name) >= 0, folder);
        add_input(inputs, path);
        free(entries[i]);
    }
    free(entries);
}

/* The input stands alone on the heap, so that the sanitizer sees a read past its end. */
static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;

    require(file && fstat(fileno(file), &st) == 0, path);
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    require(data && fread(data, 1, size, file) == size, path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

int main(int argc, char **argv)
{
    struct inputs inputs = {NULL, 0};
    struct stat st;

    for (int i = 1; i < argc; i++) {
        require(stat(argv[i], &st) == 0, argv[i]);
        if (S_ISDIR(st.st_mode))
            add_folder(&inputs, argv[i]);
        else
            add_input(&inputs, strdup(argv[i]));
    }
    printf("1..%zu\n", inputs.n);
    for (size_t i = 0; i < inputs.n; i++) {
        fflush(stdout); /* what is known so far is not lost in a crash */
        replay(inputs.paths[i]);
        printf("ok %zu - %s\n", i + 1, inputs.paths[i]);
        free(inputs.paths[i]);
    }
    free(inputs.paths);
    return inputs.n ? 0 : 1; /* an empty corpus proves nothing */
}
