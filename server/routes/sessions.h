/* sessions: a session as JSON, for the routes that tell of one. */
#ifndef CAROUSEL_SERVER_SESSIONS_ROUTE_H
#define CAROUSEL_SERVER_SESSIONS_ROUTE_H

#include "server/base/json_writer.h"
#include "server/request/request.h"
#include "server/sessions/store.h"

/* {"id", "object":"session", "model", "version", "step", ...} of request->session. */
void session_put(struct writer *out, const struct request *request, const struct store_view *view);
/* Whether a session that was not found may be found when the models have been loaded: *problem says so. */
bool session_is_early(const struct request *request, enum store_found found, struct problem *problem);

#endif
