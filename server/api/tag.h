/* tag: the answer of POST /v1/classify on a model that tags. */
#ifndef CAROUSEL_SERVER_TAG_H
#define CAROUSEL_SERVER_TAG_H

#include "server/api/codec.h"

/* Defer the request with a job that tags the inputs, which are texts. false with the call's problem filled.
 * */
bool tag_submit(struct call *call, const struct inputs *inputs);

#endif
