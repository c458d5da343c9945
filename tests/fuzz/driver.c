/* Replays files through a fuzz target where no fuzzing engine is linked, so that a corpus is an ordinary
 * test: fuzz_X FILE... Each input lies in a block of exactly its size, so that a sanitizer sees
 * the first byte read beyond it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 1;
    }
    long size = ftell(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    rewind(file);
    if (!data || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        return 1;
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++) failures += replay(argv[i]);
    printf("%d inputs\n", argc - 1 - failures);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
