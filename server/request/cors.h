/* cors: which web pages may ask, and read our answers (WHATWG Fetch, 3.2).
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
/* Whether a page of this server sends the request, or no page: there is no Origin, its host is that of Host,
 * or the browser says that the origins are equal, which no page can make it say (Sec-Fetch-Site, W3C Fetch
 * Metadata). A proxy may change Host. */
bool cors_is_own(const struct connection *connection);
/* Whether a page of any origin may make a browser send this POST without asking first: its content type is
 * none, or one that a form has (Fetch, 2.2.2, "CORS-safelisted"). Such requests are refused unless the page
 * may ask. All other requests with a body, and DELETE, come after a preflight. */
bool cors_is_unasked(const struct connection *connection, const char *method);
/* Whether a browser asks for a page whether it may ask: a preflight, as 3.2.2 tells one. */
bool cors_is_preflight(const struct connection *connection, const char *method);
/* The headers that tell a browser so, with a list: `allowed` is what cors_allow said. `methods` answers its
 * preflight; NULL: this is no answer to one. */
void cors_write(struct head *head, const char *allowed, const char *methods);

#endif
