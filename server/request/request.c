#include "server/request/request.h"

void request_progressed(void *request)
{
    ((struct request *)request)->carrier->progressed(request);
}

void request_finished(void *request)
{
    ((struct request *)request)->carrier->finished(request);
}

bool request_is_finished(struct request *request)
{
    return request->carrier->is_finished(request);
}
