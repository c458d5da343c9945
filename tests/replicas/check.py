#!/usr/bin/env python3
"""check.py FOLDER ENVOY: two replicas behind HAProxy, nginx and Envoy, with the configurations of docker/.

Both replicas are rolled under load: every answer must be a 200. Sessions go to one replica each, and stay there when
the other one dies. Streams and WebSockets pass. Two more replicas share a Redis (shared.py). Ends with a line like the one that check prints."""
import asyncio
import json
import os
import pathlib
import signal
import sys
import time

import fleet
import shared
from fleet import expect

FOLDER, ENVOY = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
NAMES = ["haproxy", "nginx", "envoy"]
DELAY_S = 5  # two checks, a second apart, and patience
SETTINGS = [f"server.drain_delay_s={DELAY_S}"]
CLIENTS, SESSIONS, ROUNDS, SOCKETS = 6, 40, 3, 4


def roll(replicas):
    """As a rolling update does it: the next one leaves when the last one is ready again."""
    for i, old in enumerate(replicas):
        old.signal(signal.SIGTERM)
        expect(f"replica {i + 1} ends with 0", old.wait(90) == 0)
        replicas[i] = fleet.Replica(old.port, old.log, SETTINGS)
        time.sleep(2)  # as minReadySeconds


def begin_sessions(replicas, port, name):
    """Sessions with some steps behind them, and the replica of each."""
    sessions = fleet.Sessions(port, name, SESSIONS)
    ids = [sessions.create()]
    rounds = [sessions.step_all() for _ in range(ROUNDS)]
    expect(f"{name}: {SESSIONS} sessions take {ROUNDS} steps each, in turn",
           all(good for answers in rounds for good, _ in answers), rounds[0][:2])
    ids += [[request for _, request in answers] for answers in rounds]
    homes = list(zip(*(fleet.homes_of([r.log for r in replicas], part) for part in ids)))
    expect(f"{name}: each session is at one replica", all(len(set(found)) == 1 and None not in found for found in homes), homes[:3])
    expect(f"{name}: both replicas have sessions", {found[0] for found in homes} == {0, 1})
    return sessions, [found[0] for found in homes]


def go_on(sessions, homes, name):
    """After the death of replica 1."""
    answers = sessions.step_all()
    kept = sum(good for (good, _), home in zip(answers, homes) if home == 0)
    expect(f"{name}: all {homes.count(0)} sessions of the living replica go on, {kept} did", kept == homes.count(0))


def check_round_robin(replicas, port, name):
    async def ask_all():
        return [(await fleet.ask(port, "POST", "/v1/forecast", fleet.BODY["/v1/forecast"]))[1]["x-request-id"] for _ in range(20)]
    homes = fleet.homes_of([r.log for r in replicas], asyncio.run(ask_all()))
    expect(f"{name}: requests without a session go to both", min(homes.count(0), homes.count(1)) >= 5, homes)


async def first_event(port):
    """The first event of a stream that is still computed when it arrives."""
    body = {"model": "tiny-characters", "prompt": "ab", "max_tokens": 16000, "stream": True, "seed": 1}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = json.dumps(body)
    writer.write((f"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(text)}\r\n\r\n{text}").encode())
    status, headers = await fleet.read_head(reader)
    line = b""
    while not line.startswith(b"data:"):
        line = await asyncio.wait_for(reader.readline(), 30)
    return status, headers, line, writer


def check_stream(name, port):
    async def run():
        status, headers, line, writer = await first_event(port)
        expect(f"{name}: a stream is one", status == 200 and headers["content-type"].startswith("text/event-stream"))
        expect(f"{name}: its first event comes alone", b'"text"' in line, line)
        writer.close()
        body = {"model": "tiny-characters", "prompt": "ab", "max_tokens": 400, "stream": True, "seed": 1}
        _, _, text = await fleet.ask(port, "POST", "/v1/completions", body)
        events = text.decode().split("\n\n")
        expect(f"{name}: events arrive as they were sent", events[-2:] == ["data: [DONE]", ""] and
               all(event.startswith("data: ") for event in events[:-1]), events[-3:])
        return "".join(json.loads(event[6:])["choices"][0]["text"] for event in events[:-2]
                       if json.loads(event[6:])["choices"])
    return asyncio.run(run())


async def converse(name, port, i):
    """A socket through the proxy whose session has taken three steps: two on it, one by HTTP beside it."""
    session = f"{name}-socket-{i}"
    socket = await fleet.Socket.open(port, session)
    opened = await socket.ask({"model": "tiny-characters", "id": session, "seed": 1})
    first = await socket.ask({"prompt": "ab", "max_tokens": 4, "step": 0})
    _, _, beside = await fleet.ask(port, "POST", "/v1/completions", {"max_tokens": 4, "step": 1}, {"X-Session-Id": session})
    await socket.say({"max_tokens": 300, "stream": True, "step": 2})
    text, event = "", {}
    while "step" not in event:
        event = await socket.hear()
        text += event["choices"][0]["text"]
    expect(f"{name}: socket {i} and HTTP move one session",
           [opened["step"], first["step"], json.loads(beside)["step"], event["step"], len(text)] == [0, 1, 2, 3, 300], event)
    return socket


async def converse_with_all(fronts):
    return [(name, await converse(name, front, i)) for name, front in zip(NAMES, fronts) for i in range(SOCKETS)]


def check_roll(replicas, fronts):
    """Open sockets hear that their replica leaves, whichever it is."""
    async def run():
        sockets = await converse_with_all(fronts)
        closed = [asyncio.create_task(socket.until_close()) for _, socket in sockets]
        loads = await fleet.under_load(fronts, CLIENTS, lambda: roll(replicas))
        done, _ = await asyncio.wait(closed, timeout=20)
        return loads, [(name, task.result() if task in done else None) for (name, _), task in zip(sockets, closed)]
    loads, codes = asyncio.run(run())
    for name in NAMES:
        expect(f"{name}: the rolled replicas close their sockets with 1001",
               [code for of, code in codes if of == name] == [1001] * SOCKETS, codes)
    for name, load in zip(NAMES, loads):
        expect(f"{name}: both replicas rolled under load, {load.good()} answers, {load.bad()} not 200",
               load.bad() == 0 and load.good() > 100, (dict(load.statuses), load.faults.most_common(3)))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] += ":/usr/sbin"
    backs, fronts = fleet.free_ports(2), fleet.free_ports(len(NAMES))
    replicas = [fleet.Replica(port, FOLDER / f"replica-{i + 1}.log", SETTINGS) for i, port in enumerate(backs)]
    proxies = [fleet.start_proxy(name, front, backs, FOLDER, ENVOY) for name, front in zip(NAMES, fronts)]
    texts = set()
    for name, front in zip(NAMES, fronts):
        check_round_robin(replicas, front, name)
        texts.add(check_stream(name, front))
        expect(f"{name}: /metrics is not passed on", fleet.status_of(front, "/metrics") == 404)
    expect("the same text comes through each", len(texts) == 1 and len(texts.pop()) == 400)
    check_roll(replicas, fronts)
    begun = [begin_sessions(replicas, front, name) for name, front in zip(NAMES, fronts)]
    replicas[1].signal(signal.SIGKILL)
    replicas[1].wait()
    time.sleep(4)
    for name, (sessions, homes) in zip(NAMES, begun):
        go_on(sessions, homes, name)
    for proxy in proxies:
        proxy.end()
    shared.check_shared(FOLDER, ENVOY)
    return fleet.sum_up("replicas")


try:
    code = main()
finally:
    fleet.stop_all()
sys.exit(code)
