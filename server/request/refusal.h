/* refusal: the headers that the status of a refusal asks for (RFC 9110): Allow with 405, Retry-After with 429
 * and 503, WWW-Authenticate with 401, Upgrade with 426 (and what RFC 6455, 4.4 adds). Pure; any thread. */
#ifndef CAROUSEL_SERVER_REFUSAL_H
#define CAROUSEL_SERVER_REFUSAL_H

#include "server/http/connection.h"

enum { RETRY_AFTER_BYTES = 16 };

/* Add them to `head`, whose status is set. `allow` is borrowed until the head is sent, and so is
 * `retry_after`, the room for a text. retry_after_s 0 is a second. */
void refusal_write_head(struct head *head, const char *allow, unsigned retry_after_s,
                        char retry_after[RETRY_AFTER_BYTES]);

#endif
