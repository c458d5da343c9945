"""Lead generated requests to models that are served, and keep their work short; else most would end with 404,
and some would compute for minutes. What is generated to be wrong stays as it is."""

import json
import re

import schemathesis

MODELS = {
    "/v1/completions": ["shakespeare"],
    "/v1/score": ["shakespeare", "story"],
    "/v1/tokenize": ["shakespeare", "sentiment"],
    "/v1/detokenize": ["shakespeare", "sentiment"],
    "/v1/embeddings": ["sentiment", "shakespeare", "digits"],
    "/v1/forecast": ["numbers", "series"],
    "/v1/classify": ["sentiment", "intents", "digits", "slots"],
    "/v1/pronounce": ["g2p"],
    "/v1/caption": ["scenes", "clips"],
    "/v1/transcribe": ["ink"],
    "/v1/music": ["chorales", "folk"],
    "/v1/explain": ["sentiment", "shakespeare", "digits", "numbers"],
}
TIMEOUT_MS = 2000
# A state of a random name is a 404 before the rest of a request is looked at: most right ones are left out.
SESSION = r"[A-Za-z0-9._:/-]{1,128}"
STATE_HEADERS = {"X-Session-Id": SESSION, "If-Match": r'"?[0-9]{1,15}"?'}
STATE_FIELDS = {
    "session": SESSION, "previous_response_id": r"(?s).{0,128}", "state": r"(?s).*", "step": r"[0-9]{1,15}"}


def is_right(name, value, patterns):
    kind = int if name == "step" else str
    return name in patterns and type(value) is kind and re.fullmatch(patterns[name], str(value)) is not None


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


@schemathesis.hook
def before_call(context, case, kwargs):
    if not case.path.startswith("/v1/") or case.path.startswith("/v1/sessions"):
        return
    body = case.body if isinstance(case.body, dict) else {}
    if len(json.dumps([body, dict(case.headers or {})], default=str)) % 8 == 0:
        return
    for name in STATE_HEADERS:
        if is_right(name, (case.headers or {}).get(name), STATE_HEADERS):
            del case.headers[name]
    if body:
        case.body = {name: value for name, value in body.items() if not is_right(name, value, STATE_FIELDS)}
