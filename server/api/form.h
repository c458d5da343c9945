/* form: a body of multipart/form-data as the fields of a request. The parts that are no files become the
 * members of a JSON object, which is read and checked as any body is (codec.h); a name that ends in [] is a
 * list. HTTP threads. */
#ifndef CAROUSEL_SERVER_FORM_H
#define CAROUSEL_SERVER_FORM_H

#include "server/api/codec.h"
#include "server/request/multipart.h"

/* Read the body and do as call_open. `plain` names the fields that are numbers or booleans, which a form
 * writes as text; NULL ends it. The files stay in *form, whose bytes are the request's. */
bool form_open(struct call *call, struct request *request, struct reply *reply, const struct fields *fields,
               const char *const *plain, enum ability ability, struct multipart *form);

/* The file of that name; NULL with the call's problem filled if there is none, or more than one. */
const struct part *form_file(const struct call *call, const struct multipart *form, const char *name);

#endif
