/* Any bytes as a WAV file, and as the body of a form. Samples are finite, parts lie in the body. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/media/wav.h"
#include "server/request/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct multipart form;
    struct sound sound;
    struct problem problem = {0};
    struct error err = {0};
    char *copy = malloc(size ? size : 1); /* its end is the end of the memory */
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    if (wav_read(copy, size, 8000, 10, &sound, &err) == STATUS_OK) {
        assert(sound.n > 0 && sound.seconds <= 10);
        for (size_t i = 0; i < sound.n; i++) assert(isfinite(sound.samples[i]));
        memory_free(sound.samples);
    } else assert(err.message[0]);
    if (multipart_read("multipart/form-data; boundary=xYz", copy, size, &form, &problem))
        for (size_t i = 0; i < form.n; i++)
            assert(form.parts[i].bytes >= copy && form.parts[i].bytes + form.parts[i].n <= copy + size &&
                   form.parts[i].name[0]);
    else assert(problem.fault != FAULT_NONE);
    if (size > 0) {
        copy[size - 1] = '\0';
        if (multipart_is_type(copy)) (void)multipart_read(copy, "--a\r\n", 5, &form, &problem);
    }
    free(copy);
    return 0;
}
