"""The client `websockets` against GET /v1/stream: python test_websockets.py URL"""

import array
import asyncio
import json
import sys
import traceback
import urllib.request

import websockets
from websockets.sync.client import connect

url = sys.argv[1]
stream = url.replace("http://", "ws://") + "/v1/stream"
tests = []


def test(function):
    tests.append(function)
    return function


def open_socket(**options):
    return connect(stream, subprotocols=["carousel.v1"], **options)


def say(socket, message):
    socket.send(message if isinstance(message, (bytes, list)) else json.dumps(message))


def ask(socket, message):
    say(socket, message)
    answer = json.loads(socket.recv(timeout=30))
    assert "error" not in answer, answer
    return answer


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@test
def a_conversation():
    whole = post("/v1/completions", {"model": "tiny-characters", "prompt": "ab", "max_tokens": 30, "seed": 4})
    with open_socket() as socket:
        assert socket.subprotocol == "carousel.v1"
        assert ask(socket, {"model": "tiny-characters", "seed": 4})["step"] == 0
        parts = [ask(socket, {"prompt": "ab", "max_tokens": 10}), ask(socket, {"max_tokens": 20})]
        assert "".join(p["choices"][0]["text"] for p in parts) == whole["choices"][0]["text"]
        assert parts[1]["step"] == 2
        state = ask(socket, {"end": True})["id"]
        assert ask(socket, {"previous_response_id": state})["model"] == "tiny-characters"
        assert socket.ping("there?").wait(10)
    assert socket.close_code == 1000


@test
def rows_of_floats():
    rows = array.array("f", [1, 0, -2, 0, 1, -1])
    if sys.byteorder == "big":
        rows.byteswap()
    whole = post("/v1/classify", {"model": "tiny-gestures", "input": [[1, 0, -2], [0, 1, -1]]})
    with open_socket() as socket:
        ask(socket, {"task": "classify", "model": "tiny-gestures"})
        ask(socket, rows.tobytes()[:12])
        assert ask(socket, rows.tobytes()[12:])["results"] == whole["results"]


@test
def fragments_and_events():
    with open_socket() as socket:
        ask(socket, ['{"model":', '"tiny-characters"', "}"])
        say(socket, {"prompt": "a", "max_tokens": 300, "stream": True})
        text, answer = "", {"choices": [{"finish_reason": None}]}
        while answer["choices"][0]["finish_reason"] is None:
            answer = json.loads(socket.recv(timeout=30))
            text += answer["choices"][0]["text"]
        assert len(text) == 300 and answer["step"] == 1, answer


@test
def errors_and_refusals():
    with open_socket() as socket:
        say(socket, {"model": "none"})
        assert json.loads(socket.recv(timeout=30))["error"]["code"] == "model_not_found"
        assert ask(socket, {"model": "tiny-characters"})["step"] == 0
    for options, status in (({"origin": "https://example.org"}, 403), ({"subprotocols": ["mqtt"]}, 400)):
        try:
            connect(stream, **options)
        except websockets.exceptions.InvalidStatus as refused:
            assert refused.response.status_code == status, refused
        else:
            raise AssertionError("it was accepted")
    with open_socket() as socket:
        try:
            socket.send("a" * (1 << 20) + "b")
            socket.recv(timeout=30)
        except websockets.exceptions.ConnectionClosed as closed:
            assert closed.rcvd.code == 1009 and "message_bytes" in closed.rcvd.reason, closed
        else:
            raise AssertionError("it was accepted")


@test
def many_at_once():
    async def one(i):
        async with websockets.connect(stream) as socket:
            await socket.send(json.dumps({"model": "tiny-characters", "seed": 1}))
            await socket.recv()
            text = ""
            for _ in range(5):
                await socket.send(json.dumps({"prompt": "a", "max_tokens": 5}))
                text += json.loads(await socket.recv())["choices"][0]["text"]
            return text

    async def run():
        return await asyncio.gather(*(one(i) for i in range(100)))
    texts = asyncio.run(run())
    assert len(set(texts)) == 1, set(texts)


failures = 0
for function in tests:
    try:
        function()
    except Exception:  # noqa: BLE001
        failures += 1
        print(f"FAILED: {function.__name__}")
        traceback.print_exc()
print(f"websockets {websockets.__version__}: {(len(tests) - failures) * 100 // len(tests)}%: "
      f"Checks: {len(tests)}, Failures: {failures}, Errors: 0")
sys.exit(failures > 0)
