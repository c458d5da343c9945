#!/usr/bin/env python3
"""published.py FOLDER make: bundles of two models that others published, from their packages, into FOLDER/bundles.
published.py FOLDER compare URL: what the server answers against Keras.

textgenrnn 2.0.0 (PyPI) carries textgenrnn_weights.hdf5 and textgenrnn_vocab.json: two LSTMs in cuDNN's layout, joined with
their embedding and averaged by attention. netra-transliterate 1.0.1 (PyPI) carries a .keras file: a bidirectional GRU, and
a GRU with additive attention, from English to Khmer. Neither is a chain of layers, so `carousel import` refuses both, with
the reason, which is checked too; the bundles are written by hand, as docs/bring-your-own-model.md says. Their golden vectors
are what Keras computes. Both were trained on padded texts, and the bundles have a token for the padding.
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
PADDING = "\ue000"  # a private character stands for id 0
TEXT = "xin chao cac ban, xin chao the gioi nay! hello world"[:40]


def write(folder, tensors, config, cases):
    import numpy
    from safetensors.numpy import save_file
    folder.mkdir(parents=True)
    save_file({k: numpy.ascontiguousarray(v, dtype="float32") for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"format_version": 1} | config, ensure_ascii=False))
    (folder / "golden.json").write_text(json.dumps({"cases": cases}, ensure_ascii=False))


def numbers(value):
    import numpy
    return numpy.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


# textgenrnn ---------------------------------------------------------------------------------------------------------------

def textgenrnn(package, folder):
    import h5py
    import keras
    import numpy
    from keras import layers as L
    weights = h5py.File(package / "textgenrnn_weights.hdf5")
    vocabulary = {i: c for c, i in json.loads((package / "textgenrnn_vocab.json").read_text()).items()}
    letters = [PADDING] + [vocabulary[i] if len(vocabulary[i]) == 1 else "\ue001" for i in range(1, 465)]

    def read(layer, name):
        return numpy.array(weights[f"{layer}/{layer}/{name}:0"])

    def gates(matrix, turn):
        return numpy.hstack([turn(k) for k in numpy.hsplit(matrix, 4)])
    lstm = {}
    for name in ("rnn_1", "rnn_2"):  # cuDNN keeps each gate's matrix turned, and two biases
        lstm[name] = (gates(read(name, "kernel"), lambda k: k.T.reshape(k.shape, order="F")),
                      gates(read(name, "recurrent_kernel"), lambda k: k.T), read(name, "bias").reshape(2, -1))
    x = keras.Input((None,), dtype="int32")
    e = L.Embedding(465, 100)(x)
    a = L.LSTM(128, return_sequences=True)(e)
    b = L.LSTM(128, return_sequences=True)(a)
    model = keras.Model(x, L.Concatenate()([e, a, b]))
    model.set_weights([read("embedding", "embeddings")] + [w for k, r, bias in lstm.values() for w in (k, r, bias.sum(0))])

    def logits(text):
        y = numbers(model(numpy.array([[letters.index(c) for c in text]])))[0].astype("float64")
        s = y @ read("attention", "attention_W")[:, 0]
        weight = numpy.exp(s - s.max())
        return (weight / weight.sum()) @ y @ read("output", "kernel") + read("output", "bias")
    tensors = {"embedding.weight": read("embedding", "embeddings"), "attention.weight": read("attention", "attention_W").T,
               "output.weight": read("output", "kernel").T, "output.bias": read("output", "bias")}
    for name, (kernel, recurrent, bias) in lstm.items():  # Keras' i, f, c, o are PyTorch's i, f, g, o
        tensors |= {f"{name}.weight_ih_l0": kernel.T, f"{name}.weight_hh_l0": recurrent.T,
                    f"{name}.bias_ih_l0": bias[0], f"{name}.bias_hh_l0": bias[1]}
    config = {
        "task": "text-classification", "description": "The next character of a text, by the weights of textgenrnn 2.0.0.",
        "labels": [f"U+{ord(c):04X}" for c in letters], "tokenizer": {"type": "characters", "vocabulary": letters},
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": 465, "embedding_dim": 100, "name": "e"},
            {"type": "lstm", "prefix": "rnn_1", "input_size": 100, "hidden_size": 128, "name": "a"},
            {"type": "lstm", "prefix": "rnn_2", "input_size": 128, "hidden_size": 128, "name": "b"},
            {"type": "concat", "inputs": ["e", "a", "b"]},
            {"type": "attention_pooling", "prefix": "attention", "input_size": 356, "bias": False, "score_bias": False},
            {"type": "linear", "prefix": "output", "in_features": 356, "out_features": 465}]}
    texts = [TEXT, PADDING * 29 + "Hello world"]
    write(folder, tensors, config, [{"input": t, "tokens": [letters.index(c) for c in t], "output": logits(t).tolist()} for t in texts])
    found = logits(TEXT)
    found = numpy.exp(found - found.max())
    return {"labels": config["labels"], "scores": (found / found.sum()).tolist()}


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


def gru(prefix, cell, end=""):
    """Keras' gates z, r, h as PyTorch's r, z, n."""
    import numpy
    kernel, recurrent, bias = [numbers(w) for w in cell.get_weights()]

    def order(w):
        z, r, h = numpy.split(w, 3, axis=-1)
        return numpy.concatenate([r, z, h], axis=-1)
    return {f"{prefix}.weight_ih_l0{end}": order(kernel).T, f"{prefix}.weight_hh_l0{end}": order(recurrent).T,
            f"{prefix}.bias_ih_l0{end}": order(bias[0]), f"{prefix}.bias_hh_l0{end}": order(bias[1])}


def netra(package, folder):
    import keras
    import numpy
    model = keras.models.load_model(package / "weights" / "bi_gru_attention_khmer_transliterator.keras", compile=False)
    with open(package / "weights" / "gru_transliteration_assets.pkl", "rb") as file:
        assets = Unpickler(file).load()
    kinds = {}
    for layer in model.layers:
        kinds.setdefault(type(layer).__name__, []).append(layer)
    source, target = [[PADDING] + [c for c, _ in sorted(assets[k].word_index.items(), key=lambda item: item[1])]
                      for k in ("eng_tokenizer", "khm_tokenizer")]
    tables = [numbers(layer.get_weights()[0]) for layer in kinds["Embedding"]]
    source, target = source[:len(tables[0])], target[:len(tables[1])]
    both, projection = kinds["Bidirectional"][0], kinds["TimeDistributed"][0]
    scale = numbers(kinds["AdditiveAttention"][0].get_weights()[0])
    dense = [numbers(w) for w in kinds["Dense"][0].get_weights()]
    kernel, bias = [numbers(w) for w in projection.get_weights()]
    tensors = {"source.weight": tables[0], "target.weight": tables[1], "projection.weight": kernel.T, "projection.bias": bias,
               "attention.query.weight": numpy.eye(64), "attention.key.weight": numpy.eye(64), "attention.energy.weight": scale[None],
               "out.weight": dense[0].T, "out.bias": dense[1]}
    tensors |= gru("encoder", both.forward_layer) | gru("encoder", both.backward_layer, "_reverse") | gru("decoder", kinds["GRU"][0])
    config = {
        "task": "translation", "description": "English names in Khmer script, by the weights of netra-transliterate 1.0.1.",
        "tokenizer": {"type": "characters", "vocabulary": source},
        "target_tokenizer": {"type": "characters", "vocabulary": target, "bos_token": "\t", "eos_token": "\n"},
        "network": {
            "encoder": [{"type": "embedding", "prefix": "source", "num_embeddings": len(source), "embedding_dim": 32},
                        {"type": "gru", "prefix": "encoder", "input_size": 32, "hidden_size": 64, "bidirectional": True},
                        {"type": "linear", "prefix": "projection", "in_features": 128, "out_features": 64}],
            "decoder": [{"type": "embedding", "prefix": "target", "num_embeddings": len(target), "embedding_dim": 32},
                        {"type": "gru", "prefix": "decoder", "input_size": 32, "hidden_size": 64, "name": "h"},
                        {"type": "attention", "prefix": "attention", "score": "additive", "query_size": 64, "memory_size": 64,
                         "attention_size": 64, "name": "context"},
                        {"type": "concat", "inputs": ["h", "context"]},
                        {"type": "linear", "prefix": "out", "in_features": 128, "out_features": len(target)}]}}
    logits = keras.Model(model.inputs, model.layers[-1].input)

    def run(text, ids):
        y = numbers(logits([numpy.array([[source.index(c) for c in text]]), numpy.array([ids])]))[0, -1]
        return y.astype("float64") @ dense[0] + dense[1]
    cases = []
    for name in ("sokha", "phnom", "dara"):
        text, ids = name.ljust(assets["max_eng_len"], PADDING), [target.index("\t")]
        while ids[-1] != target.index("\n") and len(ids) < assets["max_khm_len"]:
            output = run(text, ids)
            cases.append({"input": text, "tokens": [source.index(c) for c in text], "target": list(ids), "output": output.tolist()})
            ids.append(int(output.argmax()))
        written = "".join(target[i] for i in ids[1:] if i != target.index("\n"))
    write(folder, tensors, config, cases[:1] + cases[-8:])
    return {"input": text, "text": written}


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


def refusals(folder, program, files):
    """What the importer says of the files themselves."""
    expected = [("textgenrnn_weights.hdf5", "weights without the model"), (".keras", "second input")]
    failures = []
    for file, (name, says) in zip(files, expected, strict=True):
        done = subprocess.run([program, file, "--dry-run"], capture_output=True, text=True)
        if done.returncode != 1 or says not in done.stderr:
            failures.append(f"{name}: expected a refusal with '{says}', found {done.stderr}")
    return failures


def ask(url, route, body):
    request = urllib.request.Request(f"{url}/v1/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def main():
    folder, what = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    if what == "make":
        generator, netra_package = packages(folder)
        failures = refusals(folder, sys.argv[3], [generator / "textgenrnn_weights.hdf5", next(netra_package.glob("weights/*.keras"))])
        expected = {"textgenrnn": textgenrnn(generator, folder / "bundles" / "textgenrnn"),
                    "netra": netra(netra_package, folder / "bundles" / "netra"), "failures": failures}
        (folder / "published.json").write_text(json.dumps(expected))
        return False
    expected = json.loads((folder / "published.json").read_text())
    failures = expected["failures"]
    found = {r["label"]: r["score"] for r in ask(sys.argv[3], "classify", {"model": "textgenrnn", "input": [TEXT], "top_k": 465})["results"][0]}
    known = dict(zip(expected["textgenrnn"]["labels"], expected["textgenrnn"]["scores"], strict=True))
    difference = max(abs(score - known[label]) for label, score in found.items())
    if not difference <= 1e-5:
        failures.append(f"textgenrnn: the server differs by {difference:.3g}")
    written = ask(sys.argv[3], "translate", {"model": "netra", "input": [expected["netra"]["input"]], "num_beams": 1, "max_tokens": 30})
    if expected["netra"]["text"] not in json.dumps(written, ensure_ascii=False):
        failures.append(f"netra: expected {expected['netra']['text']}, found {written}")
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"published: textgenrnn's scores differ by {difference:.1e}; netra writes '{expected['netra']['text']}': "
          f"{100 - 25 * len(failures)}%: Checks: 4, Failures: {len(failures)}, Errors: 0")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
