"""Two replicas that keep states in one Redis: a session takes its steps at either, by turns, also when one is killed."""
import asyncio
import json
import pathlib
import shutil
import signal
import time

import fleet
from fleet import expect

STEPS, KILL_AT, BACK_AT, PATIENCE_S = 60, 20, 40, 20
PASSWORD = "not-a-secret"


def start_redis(folder, port):
    """Redis or Valkey, with nothing on disk."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    redis = fleet.Process([program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder,
                           "--requirepass", PASSWORD], folder / "redis.log")
    end = time.monotonic() + fleet.START_S
    while b"Ready to accept connections" not in redis.log.read_bytes() and time.monotonic() < end:
        time.sleep(0.05)
    return redis


def ask(port, path, body, method="POST"):
    status, headers, text = asyncio.run(asyncio.wait_for(fleet.ask(port, method, path, body), 30))
    return status, headers.get("x-request-id"), json.loads(text or b"{}")


def step_until_taken(port, body):
    """One step; a client that gets no answer, or a refusal, sends the same step again."""
    end, tries = time.monotonic() + PATIENCE_S, 0
    while True:
        tries += 1
        try:
            status, request, said = ask(port, "/v1/completions", body)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as fault:
            status, request, said = 0, None, {"fault": repr(fault)}
        if status == 200 or time.monotonic() > end:
            return status, request, said, tries
        time.sleep(0.1)


def body_of(session, step):
    return {"model": "tiny-characters", "session": session, "step": step, "prompt": "ab" if step == 0 else "",
            "max_tokens": 4, "seed": 1}


def write_text(port, session, before=lambda step: None):
    """The text of all steps, the requests' ids, and what was not as it should be."""
    made = ask(port, "/v1/sessions", {"model": "tiny-characters", "id": session})
    text, requests, faults = "", [], [] if made[0] == 201 else [made]
    for step in range(STEPS):
        before(step)
        status, request, said, _ = step_until_taken(port, body_of(session, step))
        if status != 200 or said.get("step") != step + 1:
            faults.append((step, status, said))
            break
        text += said["choices"][0]["text"]
        requests.append(request)
    return text, requests, faults


def check_away(redis, port):
    """While Redis does not answer, a step is refused and moves nothing; afterwards it is taken."""
    redis.signal(signal.SIGSTOP)
    began = time.monotonic()
    status, _, said = ask(port, "/v1/completions", body_of("turns", STEPS))
    expect("Redis stands still: a step is a 503 store_unavailable", status == 503 and
           said["error"]["code"] == "store_unavailable", (status, said))
    expect("and waits for it less than three seconds", time.monotonic() - began < 3)
    expect("the server is ready all the same", fleet.status_of(port) == 200)
    redis.signal(signal.SIGCONT)
    status, _, said, _ = step_until_taken(port, body_of("turns", STEPS))
    expect("Redis goes on: the same step is taken, once", status == 200 and said["step"] == STEPS + 1, (status, said))


def check_shared(folder, envoy):
    folder = pathlib.Path(folder) / "shared"
    folder.mkdir(parents=True, exist_ok=True)
    port, front, *backs = fleet.free_ports(4)
    redis = start_redis(folder, port)
    (folder / "password").write_text(PASSWORD + "\n")
    settings = [f"sessions.redis=redis://127.0.0.1:{port}/3", f"sessions.redis_password_file={folder}/password"]
    replicas = [fleet.Replica(back, folder / f"replica-{i + 1}.log", settings) for i, back in enumerate(backs)]
    proxy = fleet.start_proxy("haproxy", front, backs, folder, envoy)
    undisturbed = write_text(replicas[0].port, "undisturbed")

    def disturb(step):
        if step == KILL_AT:
            replicas[1].signal(signal.SIGKILL)
            replicas[1].wait()
        if step == BACK_AT:
            replicas[1] = fleet.Replica(backs[1], replicas[1].log, settings)
            time.sleep(3)  # HAProxy notices
    text, requests, faults = write_text(front, "turns", disturb)
    homes = fleet.homes_of([r.log for r in replicas], requests)
    expect(f"one session took {len(requests)} steps at two replicas, {homes.count(0)} and {homes.count(1)}, one killed meanwhile",
           not faults and min(homes.count(0), homes.count(1)) >= 10, (faults, homes))
    expect("its text is that of a session at one replica", len(text) > STEPS and text == undisturbed[0],
           (undisturbed[2], text[:80], undisturbed[0][:80]))
    status, _, said = ask(front, "/v1/completions", {"model": "tiny-characters", "prompt": "ab", "max_tokens": 4, "seed": 1,
                                                      "store": True})
    answers = {ask(replica.port, "/v1/completions", {"previous_response_id": said.get("id"), "max_tokens": 8})[2]
               .get("choices", [{}])[0].get("text") for replica in replicas}
    expect("a stored answer is found by both replicas, which go on alike", status == 200 and len(answers) == 1 and
           None not in answers, (status, said, answers))
    check_away(redis, front)
    for replica in replicas:
        replica.signal(signal.SIGTERM)
    expect("both end with 0", [replica.wait(90) for replica in replicas] == [0, 0])
    proxy.end()
    redis.end()
