/* Any bytes as a configuration file. What is taken must print and read back as the same; what is refused must
 * name the file and a line. */
#include "server/base/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, again;
    struct error err = {0};
    char *text = malloc(size ? size : 1), *printed = NULL;
    size_t n = 0;
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    config_defaults(&config);
    enum status status = config_read(&config, text, size, "file", &err);
    free(text);
    if (status != STATUS_OK) {
        assert(!strncmp(err.message, "file:", 5));
        return 0;
    }
    FILE *file = open_memstream(&printed, &n);
    if (!file) return 0;
    config_print(&config, file);
    fclose(file);
    config_defaults(&again);
    status = config_read(&again, printed, n, "file", &err);
    free(printed);
    /* a text of the file may be longer than a line, or hold what begins a comment, only where it came from
     * elsewhere */
    assert(status == STATUS_OK && !memcmp(&config, &again, sizeof config));
    return 0;
}
