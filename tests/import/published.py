#!/usr/bin/env python3
"""published.py FOLDER make PROGRAM: import two models that others published, from their packages, into FOLDER/bundles.
published.py FOLDER compare URL: what the server answers against Keras.

textgenrnn 2.0.0 (PyPI) carries textgenrnn_weights.hdf5, weights without a model, and textgenrnn_vocab.json: two LSTMs in
cuDNN's layout, joined with their embedding and averaged by attention. netra-transliterate 1.0.1 (PyPI) carries a .keras file
and both tokenizers in a pickle: a bidirectional GRU, and a GRU with additive attention, from English to Khmer. Neither is a
chain of layers, so --network says how they hang together, and the files say the rest. Both were trained on padded texts.
"""
import json
import os
import pathlib
import pickle
import subprocess
import sys
import urllib.request
import zipfile

os.environ["KERAS_BACKEND"] = "torch"
TOLERANCE = 1e-5
PADDING = "\ue000"  # stands for id 0 here, which no text gives
TEXTS = ["xin chao cac ban, xin chao the gioi nay! hello world", "Hello world"]
NAMES = ["sokha", "phnom", "dara", "chanthou"]
GENERATOR = [
    {"type": "embedding", "prefix": "embedding", "name": "e"}, {"type": "lstm", "prefix": "rnn_1", "name": "a"},
    {"type": "lstm", "prefix": "rnn_2", "name": "b"}, {"type": "concat", "inputs": ["e", "a", "b"]},
    {"type": "attention_pooling", "prefix": "attention", "input_size": 356, "bias": False, "score_bias": False},
    {"type": "linear", "prefix": "output"}]
TRANSLITERATOR = {
    "encoder": [{"type": "embedding", "prefix": "embedding_8"}, {"type": "gru", "prefix": "bidirectional_3"},
                {"type": "linear", "prefix": "time_distributed_9"}],
    "decoder": [{"type": "embedding", "prefix": "embedding_9"}, {"type": "gru", "prefix": "gru_7", "name": "h"},
                {"type": "attention", "prefix": "additive_attention_5", "score": "additive", "query_size": 64, "memory_size": 64,
                 "attention_size": 64, "name": "context"},
                {"type": "concat", "inputs": ["h", "context"]}, {"type": "linear", "prefix": "dense_13"}]}


def numbers(value):
    import numpy
    return numpy.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def run_import(folder, program, name, file, network, *flags):
    """Import with --network; the failure, or nothing."""
    (folder / f"{name}.json").write_text(json.dumps(network))
    bundle = folder / "bundles" / name
    done = subprocess.run([program, file, "--network", folder / f"{name}.json", *flags, "-o", bundle], capture_output=True, text=True)
    return [f"{name}: {done.stderr}"] if done.returncode else []


# textgenrnn ---------------------------------------------------------------------------------------------------------------

def textgenrnn(package, folder, program):
    import h5py
    import keras
    import numpy
    from keras import layers as L
    weights = h5py.File(package / "textgenrnn_weights.hdf5")
    vocabulary = {i: c for c, i in json.loads((package / "textgenrnn_vocab.json").read_text()).items()}
    letters = [PADDING] + [vocabulary[i] for i in range(1, 465)]
    labels = ["padding"] + [" ".join(f"U+{ord(c):04X}" for c in token) for token in letters[1:]]
    (folder / "labels.txt").write_text("\n".join(labels))
    failures = run_import(folder, program, "textgenrnn", package / "textgenrnn_weights.hdf5", GENERATOR, "--tokenizer",
                          package / "textgenrnn_vocab.json", "--labels", folder / "labels.txt", "--pad", "left:40")

    def read(layer, name):
        return numpy.array(weights[f"{layer}/{layer}/{name}:0"])

    def gates(matrix, turn):
        return numpy.hstack([turn(k) for k in numpy.hsplit(matrix, 4)])
    lstm = []
    for name in ("rnn_1", "rnn_2"):  # cuDNN keeps each gate's matrix turned, and two biases
        lstm += [gates(read(name, "kernel"), lambda k: k.T.reshape(k.shape, order="F")),
                 gates(read(name, "recurrent_kernel"), lambda k: k.T), read(name, "bias").reshape(2, -1).sum(0)]
    x = keras.Input((None,), dtype="int32")
    e = L.Embedding(465, 100)(x)
    a = L.LSTM(128, return_sequences=True)(e)
    b = L.LSTM(128, return_sequences=True)(a)
    model = keras.Model(x, L.Concatenate()([e, a, b]))
    model.set_weights([read("embedding", "embeddings")] + lstm)

    def scores(text):
        ids = [letters.index(c) for c in text][-40:]
        y = numbers(model(numpy.array([[0] * (40 - len(ids)) + ids])))[0].astype("float64")
        s = y @ read("attention", "attention_W")[:, 0]
        weight = numpy.exp(s - s.max())
        found = (weight / weight.sum()) @ y @ read("output", "kernel") + read("output", "bias")
        found = numpy.exp(found - found.max())
        return dict(zip(labels, (found / found.sum()).tolist(), strict=True))
    return failures, [scores(text) for text in TEXTS]


# netra-transliterate ------------------------------------------------------------------------------------------------------

class Tokenizer:
    """Stands for Keras' class of that name, which Keras 3 has no more."""


class Unpickler(pickle.Unpickler):
    """Makes tokenizers, dictionaries and nothing else."""

    def find_class(self, module, name):
        known = {"Tokenizer": Tokenizer, "OrderedDict": dict, "defaultdict": lambda *_: {}, "int": int}
        if name not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is not expected")
        return known[name]


def netra(package, folder, program):
    """What Keras writes for each name, always the most likely letter, and the natural logarithm of its probability."""
    import keras
    import numpy
    pickled = package / "weights" / "gru_transliteration_assets.pkl"
    saved = package / "weights" / "bi_gru_attention_khmer_transliterator.keras"
    with open(pickled, "rb") as file:
        assets = Unpickler(file).load()
    length = assets["max_eng_len"]
    failures = run_import(folder, program, "netra", saved, TRANSLITERATOR, "--tokenizer", f"{pickled}:eng_tokenizer",
                          "--target-tokenizer", f"{pickled}:khm_tokenizer", "--pad", f"right:{length}", "--bos", "\t", "--eos", "\n")
    model = keras.models.load_model(saved, compile=False)
    source, target = assets["eng_tokenizer"].word_index, assets["khm_tokenizer"].word_index
    written = {id: letter for letter, id in target.items()}
    results = []
    for name in NAMES:
        text = numpy.array([([source[c] for c in name] + [0] * length)[:length]])
        ids, score = [target["\t"]], 0.0
        while (ids[-1] != target["\n"] or len(ids) == 1) and len(ids) < assets["max_khm_len"]:
            output = numbers(model([text, numpy.array([ids])]))[0, -1].astype("float64")
            ids.append(int(output.argmax()))
            score += float(numpy.log(output.max()))
        results.append({"text": "".join(written[i] for i in ids[1:] if i != target["\n"]), "score": score})
    return failures, results


# ----------------------------------------------------------------------------------------------------------------------------

def packages(folder):
    """The files of both packages, without their dependencies; nothing of them is run."""
    found = folder / "published"
    if not (found / "textgenrnn").exists():
        found.mkdir(exist_ok=True)
        for name, kind in (("textgenrnn==2.0.0", "--no-binary=:all:"), ("netra-transliterate==1.0.1", "--only-binary=:all:")):
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", kind, "-d", found, name], check=True)
        subprocess.run(["tar", "-xzf", found / "textgenrnn-2.0.0.tar.gz", "-C", found, "--strip-components=1", "textgenrnn-2.0.0/textgenrnn"], check=True)
        with zipfile.ZipFile(next(found.glob("netra_transliterate*.whl"))) as wheel:
            wheel.extractall(found)
    return found / "textgenrnn", found / "khmer_transliterator"


def ask(url, route, body):
    request = urllib.request.Request(f"{url}/v1/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def main():
    folder, what = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if what == "make":
        generator, transliterator = packages(folder)
        failures, scores = textgenrnn(generator, folder, sys.argv[3])
        more, names = netra(transliterator, folder, sys.argv[3])
        (folder / "published.json").write_text(json.dumps({"textgenrnn": scores, "netra": names, "failures": failures + more}))
        return False
    expected, url = json.loads((folder / "published.json").read_text()), sys.argv[3]
    failures, difference, apart = expected["failures"], 0.0, 0.0
    if not failures:
        results = ask(url, "classify", {"model": "textgenrnn", "input": TEXTS, "top_k": 465})["results"]
        for known, found in zip(expected["textgenrnn"], results, strict=True):
            difference = max([difference] + [abs(one["score"] - known[one["label"]]) for one in found])
        answers = ask(url, "translate", {"model": "netra", "input": NAMES, "num_beams": 1, "max_tokens": 30, "length_penalty": 0})["translations"]
        for name, known, found in zip(NAMES, expected["netra"], answers, strict=True):
            apart = max(apart, abs(found["score"] - known["score"]))
            if found["text"] != known["text"]:
                failures.append(f"netra: {name}: expected {known['text']}, found {found['text']}")
    for model, distance in (("textgenrnn", difference), ("netra", apart)):
        if not distance <= TOLERANCE:
            failures.append(f"{model}: the server differs by {distance:.3g}")
    for failure in failures:
        print(f"FAILED: {failure}")
    checks = 2 + len(TEXTS) + len(NAMES)
    print(f"published: textgenrnn's scores differ by {difference:.1e}, netra's by {apart:.1e}; netra writes "
          f"'{expected['netra'][0]['text']}': {(checks - len(failures)) * 100 // checks}%: Checks: {checks}, Failures: {len(failures)}, Errors: 0")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
