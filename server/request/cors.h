/* cors: which web pages may read our answers (WHATWG Fetch, 3.2).
 *
 * http.cors_origins is a list of origins as browsers send them ("https://example.org",
 * "http://localhost:3000"), with spaces or commas between, or "*" for every one. Keys travel in a header and
 * never in cookies, so credentials in the sense of that specification are not allowed, and "*" gives away
 * nothing that a key protects. Pure; any thread. */
#ifndef CAROUSEL_SERVER_CORS_H
#define CAROUSEL_SERVER_CORS_H

#include <stdbool.h>

#include "core/base/status.h"
#include "server/http/connection.h"

/* Whether every word of the list is an origin or "*". */
MUST_CHECK enum status cors_check(const char *list, struct error *err);
/* The value of Access-Control-Allow-Origin for a request of this origin (NULL: none was sent): "*", the
 * origin itself, or NULL if it may not. */
const char *cors_allow(const char *list, const char *origin);
/* Whether a browser asks for a page whether it may ask: a preflight, as 3.2.2 tells one. */
bool cors_is_preflight(const struct connection *connection, const char *method);
/* The headers that tell a browser so, with a list: `allowed` is what cors_allow said. `methods` answers its
 * preflight; NULL: this is no answer to one. */
void cors_write(struct head *head, const char *allowed, const char *methods);

#endif
