"""OpenAI's own Python client against the server: python test_openai.py BASE_URL"""

import asyncio
import base64
import io
import sys
import traceback
import wave

import openai

base_url = sys.argv[1]
client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=30)
tests = []


def test(function):
    tests.append(function)
    return function


def refused(kind, **fields):
    try:
        client.completions.create(**{"model": "tiny-characters", "prompt": "ab", **fields})
    except kind as error:
        return error
    raise AssertionError(f"{fields} was accepted")


@test
def lists_models():
    models = client.models.list().data
    assert [m.id for m in models] == sorted(m.id for m in models) and len(models) == 8, models
    assert all(m.object == "model" and m.created > 0 and m.owned_by for m in models)


def sound():
    """A WAV file of a third of a second."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(bytes(i * i % 251 for i in range(10000)))
    return ("sound.wav", file.getvalue())


@test
def transcribes_sound():
    def ask(**fields):
        return client.audio.transcriptions.create(model="tiny-speech", file=sound(), **fields)
    text = ask(language="en", temperature=0).text
    assert text and ask(response_format="text").rstrip("\n") == text
    assert ask(response_format="vtt").startswith("WEBVTT") and " --> " in ask(response_format="srt")
    answer = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert answer.text == text and abs(float(answer.duration) - 0.3125) < 0.01, answer
    assert answer.words[0].word in text and answer.segments[-1].end <= 0.32, answer
    try:
        ask(prompt="digits")
    except openai.BadRequestError as error:
        assert error.param == "prompt", error
    else:
        raise AssertionError("a prompt was accepted")


@test
def draws_pictures():
    labels = client.models.retrieve("tiny-drawing").labels
    answer = client.images.generate(model="tiny-drawing", prompt=labels[0], n=2, size="auto", response_format="b64_json")
    pictures = [base64.b64decode(one.b64_json) for one in answer.data]
    assert len(pictures) == 2 and all(p.startswith(b"\x89PNG\r\n") for p in pictures), answer
    events = list(client.images.generate(model="tiny-drawing", prompt=labels[0], stream=True, partial_images=2))
    assert events[-1].type == "image_generation.completed" and base64.b64decode(events[-1].b64_json).startswith(b"\x89PNG"), events
    try:
        client.images.generate(model="tiny-drawing", prompt="a cat")
    except openai.BadRequestError as error:
        assert error.param == "prompt", error
    else:
        raise AssertionError("a class that is none was accepted")


@test
def retrieves_a_model():
    assert client.models.retrieve("tiny-characters").id == "tiny-characters"


@test
def misses_a_model():
    try:
        client.models.retrieve("nobody")
    except openai.NotFoundError as error:
        assert error.code == "model_not_found" and error.status_code == 404
    else:
        raise AssertionError("found")


@test
def completes():
    answer = client.completions.create(model="tiny-characters", prompt="ab", max_tokens=20, seed=1)
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert len(answer.choices) == 1 and len(answer.choices[0].text) == 20
    assert answer.choices[0].finish_reason == "length" and answer.choices[0].logprobs is None
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2, 20, 22)
    again = client.completions.create(model="tiny-characters", prompt="ab", max_tokens=20, seed=1)
    assert again.choices[0].text == answer.choices[0].text


@test
def completes_with_every_parameter():
    answer = client.completions.create(
        model="tiny-characters", prompt=["ab", "c"], max_tokens=10, temperature=0.7, top_p=0.9, n=2,
        best_of=3,
        stop=["zz", "qq"], logit_bias={"2": -100}, logprobs=3, echo=True, presence_penalty=0.5,
        frequency_penalty=0.5,
        seed=7, user="me", extra_body={"top_k": 20, "min_p": 0.01, "repetition_penalty": 1.1})
    assert len(answer.choices) == 4 and [c.index for c in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text.startswith("ab") and answer.choices[3].text.startswith("c")
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset)
    assert logprobs.token_logprobs[0] is None and logprobs.token_logprobs[-1] < 0
    assert "".join(logprobs.tokens) == answer.choices[0].text


@test
def completes_tokens():
    assert client.completions.create(model="tiny-characters",
                                     prompt=[2, 3], max_tokens=3).usage.prompt_tokens == 2
    assert len(client.completions.create(model="tiny-characters",
                                         prompt=[[2], [3, 4]], max_tokens=3).choices) == 2


@test
def streams():
    whole = client.completions.create(model="tiny-characters", prompt="ab", max_tokens=500, seed=3)
    text, finish = "", None
    for event in client.completions.create(model="tiny-characters", prompt="ab", max_tokens=500, seed=3,
                                           stream=True):
        assert event.object == "text_completion" and event.model == "tiny-characters"
        for choice in event.choices:
            text += choice.text
            finish = choice.finish_reason or finish
    assert text == whole.choices[0].text and finish == "length"


@test
def streams_usage():
    events = list(client.completions.create(model="tiny-characters", prompt="ab", max_tokens=50, stream=True,
                                            stream_options={"include_usage": True}))
    assert events[-1].choices == [] and events[-1].usage.completion_tokens == 50
    assert all(event.usage is None for event in events[:-1])


@test
def leaves_a_stream():
    with client.completions.create(model="tiny-characters", prompt="ab", max_tokens=16000,
                                   stream=True) as stream:
        next(iter(stream))


@test
def streams_side_by_side():
    async def one(number):
        text = ""
        async for event in await asynchronous.completions.create(
                model="tiny-characters", prompt="ab", max_tokens=200, seed=number % 4, stream=True):
            text += "".join(choice.text for choice in event.choices)
        return text

    async def all_of_them():
        return await asyncio.gather(*(one(number) for number in range(16)))

    asynchronous = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=30)
    texts = asyncio.run(all_of_them())
    assert all(len(text) == 200 for text in texts)
    assert all(texts[i] == texts[i % 4] for i in range(16)) and len(set(texts)) == 4


@test
def embeds():
    answer = client.embeddings.create(model="tiny-characters", input=["ab", "hello"], encoding_format="float")
    assert len(answer.data) == 2 and len(answer.data[0].embedding) == 16
    # Left to itself, this client asks for base64.
    same = client.embeddings.create(model="tiny-characters", input=["ab", "hello"])
    assert max(abs(a - b) for a, b in zip(same.data[1].embedding, answer.data[1].embedding)) < 1e-6


@test
def tells_what_is_wrong():
    error = refused(openai.BadRequestError, max_tokens=-1)
    assert error.code == "invalid_value" and error.param == "max_tokens" and error.type == "invalid_request_error"
    assert refused(openai.BadRequestError, temperature=9).param == "temperature"
    assert refused(openai.NotFoundError, model="nobody").param == "model"
    assert refused(openai.UnprocessableEntityError, model="tiny-series").code == "unsupported_for_model"
    assert error.request_id


failures = 0
for function in tests:
    try:
        function()
    except Exception:
        failures += 1
        print(f"FAILED: {function.__name__}")
        traceback.print_exc()
passed = len(tests) - failures
print(f"openai for Python {openai.__version__}: {100 * passed // len(tests)}%: Checks: {len(tests)}, "
      f"Failures: {failures}, Errors: 0")
sys.exit(failures > 0)
