#include "server/request/refusal.h"

#include <stdio.h>

void refusal_write_head(struct head *head, const char *allow, unsigned retry_after_s,
                        char retry_after[RETRY_AFTER_BYTES])
{
    if (head->status == 405) head_add(head, "Allow", allow);
    if (head->status == 429 || head->status == 503) {
        snprintf(retry_after, RETRY_AFTER_BYTES, "%u", retry_after_s ? retry_after_s : 1);
        head_add(head, "Retry-After", retry_after);
    }
    if (head->status == 426) {
        head_add(head, "Upgrade", "websocket");
        head_add(head, "Connection", "Upgrade");
        head_add(head, "Sec-WebSocket-Version", "13");
    }
    if (head->status == 401) head_add(head, "WWW-Authenticate", "Bearer realm=\"carousel\"");
}
