/* inference: which tensors of the Open Inference Protocol a model reads and gives, for the routes of /v2. */
#ifndef CAROUSEL_SERVER_INFERENCE_H
#define CAROUSEL_SERVER_INFERENCE_H

#include "server/api/answer.h"
#include "server/request/request.h"

struct signature {
    enum ability ability;
    request_handler *handler;    /* of the /v1 route that answers */
    const char *input, *datatype; /* NULL: "text" of BYTES, or "features" of FP32, by what the model reads */
    struct {
        const char *name, *datatype;
    } outputs[2];
};

/* The row of the model's ability; NULL with *problem if it has none. */
const struct signature *signature_of(const struct model *model, struct problem *problem);
/* The name and the datatype of its input. */
const char *signature_input(const struct signature *signature, const struct model *model,
                            const char **datatype);
/* The model that the path names, one reference; NULL with *problem. */
struct model *inference_model(const struct request *request, struct problem *problem);

#endif
