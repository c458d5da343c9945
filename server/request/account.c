#include "server/request/account.h"

#include "core/base/clock.h"
#include "server/request/metrics.h"
#include "server/request/server.h"

bool account_charge(struct account *account, struct request *request, struct problem *problem)
{
    if (!account->client) return true;
    uint64_t steps = request->operation->cost_steps(request->work, false);
    if (!client_charge(account->client, steps, problem)) return false;
    account->charged_steps = steps;
    return true;
}

void account_settle(struct account *account, struct request *request, bool started)
{
    if (!account->charged_steps || (started && !request_is_finished(request))) return;
    uint64_t used = started ? request->operation->cost_steps(request->work, true) : 0;
    if (used < account->charged_steps) client_refund(account->client, account->charged_steps - used);
    account->charged_steps = 0;
}

void account_count(struct account *account, const struct request *request, unsigned status, bool started,
                   struct account_bytes bytes)
{
    struct metrics *metrics = request->server->metrics;
    const struct record *record = &request->record;
    if (account->is_counted) return;
    account->is_counted = true;
    metrics_count_request(metrics, request->route, record->task ? record->model : "", status,
                          clock_ms_since(request->began_us) * 1e-3);
    metrics_add(metrics, COUNTER_BYTES_IN, bytes.in);
    metrics_add(metrics, COUNTER_BYTES_OUT, bytes.out);
    if (started) metrics_count_end(metrics, (enum end)record->end);
    if (record->task) metrics_count_model(metrics, record, status, request->began_us);
    if (record->first_ms > 0) metrics_observe(metrics, HISTOGRAM_FIRST_TOKEN, record->first_ms * 1e-3);
}

void account_refuse(struct request *request, struct reply *reply)
{
    if (request->operation && request->operation->refuse && reply->problem.fault != FAULT_NONE)
        request->operation->refuse(request->work, request, reply);
}
