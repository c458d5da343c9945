/* GET /openapi.json: docs/openapi.yaml as it stands, for it is written in JSON, which is YAML too. So there
 * is one document, no parser at run time, and nothing to be built but this: the assembler copies the file. */
#include <stdlib.h>
#include <string.h>

#include "server/request.h"

__asm__(".pushsection .rodata\n"
        ".globl openapi_text\n"
        ".globl openapi_end\n"
        "openapi_text:\n"
        ".incbin \"docs/openapi.yaml\"\n"
        "openapi_end:\n"
        ".popsection\n");
extern const char openapi_text[] __attribute__((visibility("hidden")));
extern const char openapi_end[] __attribute__((visibility("hidden")));

void api_openapi(struct request *request, struct reply *reply)
{
    (void)request;
    size_t bytes = (size_t)(openapi_end - openapi_text);
    reply->body = malloc(bytes);
    if (!reply->body) {
        problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    memcpy(reply->body, openapi_text, bytes);
    reply->body_bytes = bytes;
}
