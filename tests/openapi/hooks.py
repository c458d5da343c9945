"""Lead generated requests to models that are served, and keep their work short; else most would end with 404,
and some would compute for minutes. What is generated to be wrong stays as it is."""

import json

import schemathesis

MODELS = {
    "/v1/completions": ["shakespeare"],
    "/v1/score": ["shakespeare"],
    "/v1/tokenize": ["shakespeare", "sentiment"],
    "/v1/detokenize": ["shakespeare", "sentiment"],
    "/v1/embeddings": ["sentiment", "shakespeare", "digits"],
    "/v1/forecast": ["numbers", "series"],
    "/v1/classify": ["sentiment", "intents", "digits"],
}
TIMEOUT_MS = 2000


@schemathesis.hook
def map_body(context, body):
    models = MODELS.get(context.operation.path)
    if not models or not isinstance(body, dict):
        return body
    pick = len(json.dumps(body, default=str))
    name = body.get("model")
    if (name is None or (isinstance(name, str) and len(name) <= 97)) and pick % 8:
        body = {**body, "model": models[pick % len(models)]}
    timeout = body.get("timeout_ms")
    if type(timeout) is int and TIMEOUT_MS < timeout <= 3600000:
        body = {**body, "timeout_ms": TIMEOUT_MS}
    return body
