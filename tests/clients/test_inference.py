"""Triton's HTTP client and KServe's inference client against the server: python test_inference.py URL"""

import asyncio
import sys
import traceback

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

url = sys.argv[1]
client = triton.InferenceServerClient(url.removeprefix("http://"))
rows = np.array([[[1, 0, -2], [0, 1, -1]]], dtype=np.float32)
tests = []


def test(function):
    tests.append(function)
    return function


def classify(x, binary_in=True, binary_out=True, **options):
    tensor = triton.InferInput("features", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary_in)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("scores", "label")]
    return client.infer("tiny-gestures", [tensor], outputs=outputs, **options).as_numpy("scores")


def refused(function, part):
    try:
        function()
    except triton.InferenceServerException as error:
        assert part in str(error), error
        return
    raise AssertionError("it was accepted")


@test
def triton_finds_the_server():
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("tiny-gestures")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "carousel"
    assert client.get_model_metadata("tiny-gestures")["inputs"][0]["shape"] == [-1, -1, 3]
    assert client.get_model_config("tiny-series")["input"][0]["data_type"] == "TYPE_FP64"


@test
def triton_sends_tensors_both_ways():
    results = [classify(rows, into, out) for into in (True, False) for out in (True, False)]
    assert results[0].shape == (1, 4) and abs(results[0].sum() - 1) < 1e-5
    assert all(np.array_equal(results[0], r) for r in results)
    text = triton.InferInput("text", [2], "BYTES")
    text.set_data_from_numpy(np.array(["good", "bad"], dtype=object))
    assert client.infer("tiny-labels", [text]).as_numpy("label").shape == (2,)


@test
def triton_sends_sequences():
    classify(rows[:, :1], sequence_id=3, sequence_start=True)
    assert np.array_equal(classify(rows[:, 1:], sequence_id=3, sequence_end=True), classify(rows))
    refused(lambda: classify(rows, sequence_id=3), "nothing is kept")


@test
def triton_reads_statistics():
    before = client.get_inference_statistics("tiny-gestures")["model_stats"][0]["inference_count"]
    classify(rows)
    assert client.get_inference_statistics("tiny-gestures")["model_stats"][0]["inference_count"] == before + 1


@test
def kserve_asks():
    async def ask():
        kserve = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await kserve.is_server_live(url) and await kserve.is_server_ready(url)
        assert await kserve.is_model_ready(url, "tiny-series")
        series = InferInput("series", [3], "FP64", data=[1.0, 2.0, 4.0])
        request = InferRequest("tiny-series", [series], parameters={"horizon": 2})
        assert len((await kserve.infer(url, request, model_name="tiny-series")).outputs[0].data) == 2
        tensor = InferInput("features", [1, 2, 3], "FP32")
        tensor.set_data_from_numpy(rows, binary_data=True)
        answer = await kserve.infer(url, InferRequest("tiny-gestures", [tensor]), model_name="tiny-gestures")
        assert np.array_equal(answer.outputs[0].as_numpy(), classify(rows))

    asyncio.run(ask())


failures = 0
for function in tests:
    try:
        function()
    except Exception:
        failures += 1
        print(f"{function.__name__}:", file=sys.stderr)
        traceback.print_exc()
print(f"tritonclient and kserve: {100 * (len(tests) - failures) // len(tests)}%: Checks: {len(tests)}, "
      f"Failures: {failures}, Errors: 0")
sys.exit(failures > 0)
