#include "server/api/initial.h"

#include "core/base/memory.h"
#include "models/bundle/initial_state.h"

static const char *const names[] = {"h", "c", NULL};
static const struct fields fields = {.known = names};

bool initial_read(const struct call *call, float **state)
{
    const struct network *network = call->model->network;
    const struct json *object = json_get(call->root, INITIAL_STATE);
    struct error err = {.message = ""};
    *state = NULL;
    if (!object) return true;
    if (call->options.from)
        return problem_set(call->problem, FAULT_INVALID_VALUE, INITIAL_STATE,
                           "'%s' would replace the state that the request goes on from; send one of the two",
                           INITIAL_STATE);
    if (json_kind(object) == JSON_OBJECT && !fields_check(object, &fields, NULL, true, call->problem))
        return false;
    *state = memory_new(network_state_floats(network), sizeof **state);
    if (!*state) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    enum status status = initial_state_read(network, object, *state, &err);
    return status == STATUS_OK ||
           problem_set(call->problem,
                       status == STATUS_UNSUPPORTED ? FAULT_UNSUPPORTED_FOR_MODEL : FAULT_INVALID_VALUE,
                       err.param, "%s", err.message);
}
