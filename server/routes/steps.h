/* steps: which route takes the steps of a session. Pure; any thread. */
#ifndef CAROUSEL_SERVER_STEPS_H
#define CAROUSEL_SERVER_STEPS_H

#include "models/bundle/model.h"
#include "server/request/request.h"

/* The /v1 route that takes the steps of a session of this model: that of the first ability it has, or of the
 * one that `task` names: complete, classify, forecast, predict, compose, draw or transcribe, or the model's
 * task itself ("": the first). ROUTE_NONE, with *problem: there is none. */
enum route_id steps_route(const struct model *model, const char *task, struct problem *problem);

#endif
