#!/usr/bin/env python3
"""check.py FOLDER IMPORT make: models of PyTorch, Keras and ONNX, imported into FOLDER/bundles.
check.py FOLDER IMPORT compare URL: what the server answers against what the frameworks gave.

The matrix: modules of PyTorch as state_dict, module, Lightning's checkpoint, the format before 1.6, half precision,
TorchScript, a program of torch.export, NumPy's arrays, safetensors and ONNX by both exporters; models of Keras as .h5 and .keras; and what is no
chain, by --network. Every answer must be within 1e-5 of the
framework's own (models that ONNX Runtime quantised: within 1e-2): scores of classes, log-likelihoods of a token, forecasts. What an exporter writes wrongly must be
refused. Ends with a line like the one that check prints.
"""
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request
import warnings

os.environ["KERAS_BACKEND"] = "torch"
warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
LETTERS = list("abcdefgh ,.") + ["é"]
TEXTS = ["bd", "bed fed", "hedé. cfe ebch bed", "f" * 40]
SOURCES = ["bd", "bed fed", "hedé cfe ebch bed"]
ROWS = [[[((5 * t + 3 * i + n) % 13) / 6 - 1 for i in range(2)] for t in range(n)] for n in (1, 6, 25)]
COLUMNS = [[((5 * t + 3 * i) % 13) / 6 - 1 for t in range(12 + 4)] for i in range(3)]  # of a forecast 4 steps ahead
SERIES = [[0.5], [0.1, 0.4, -0.3, 0.9, 0.2], [math.sin(t / 3) for t in range(7)]]  # the dynamo exporter fixes 7 steps
TOLERANCE = 1e-5
# ONNX Runtime rounds what flows between quantised layers to eight bits too; the bundle does not. On processors without
# VNNI its sums of two products are also cut to 16 bits, so the difference depends on the machine: 0.0063 was the largest.
QUANTISED_TOLERANCE = 1e-2


def softmax(x):
    import numpy
    e = numpy.exp(x - numpy.max(x))
    return (e / e.sum()).tolist()


def binary(x):
    p = 1 / (1 + math.exp(-float(x[0])))
    return [1 - p, p]


def torch_run(model, ids):
    import torch

    def run(x):
        with torch.no_grad():
            dtype = torch.long if ids else next(model.parameters()).dtype
            return model(torch.tensor([x], dtype=dtype))[0].double().numpy()
    return run


class Matrix:
    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.expected, self.failures, self.checks = {}, [], 0
        (folder / "letters.json").write_text(json.dumps(LETTERS))

    def answers(self, kind, run):
        """What the framework gives, in the form in which the server answers."""
        import numpy
        if kind == "generation":
            found = []
            for text in TEXTS:
                ids = [LETTERS.index(c) for c in text]
                logits = numpy.asarray(run(ids))
                found.append(sum(math.log(softmax(logits[t])[ids[t + 1]]) for t in range(len(ids) - 1)) / (len(ids) - 1))
            return found
        if kind == "forecast":
            return [float(numpy.asarray(run([[x] for x in s])).reshape(-1)[-1]) for s in SERIES]
        if kind in ("columns", "twins"):
            rows = [[COLUMNS[i][t] for i in range(3 if kind == "columns" else 2)] for t in range(12)]
            found = numpy.asarray(run(rows), dtype=float)
            return found.reshape(-1).tolist() if kind == "columns" else found.reshape(3, 2).T.tolist()
        if kind == "translation":
            return [run(text) for text in SOURCES]
        inputs = [[LETTERS.index(c) for c in t] for t in TEXTS] if kind.startswith("text") else ROWS
        return [binary(run(x)) if kind.endswith("binary") else softmax(run(x)) for x in inputs]

    def add(self, name, file, kind, run, *flags, refused=None, tolerance=TOLERANCE):
        """Import a file, and keep what the framework says. `refused`: the sentence that must come instead."""
        self.checks += 1
        flags = list(flags)
        if kind in ("generation", "translation") or kind.startswith("text"):
            flags += ["--tokenizer", str(self.folder / "letters.json")]
        if kind == "forecast":
            flags += ["--task", "forecasting"]
        if kind.startswith(("text", "rows")):
            flags += ["--labels", "no,yes" if kind.endswith("binary") else "a,b,c"]
        out = self.folder / "bundles" / name
        done = subprocess.run([self.program, str(file), "-o", str(out), *flags], capture_output=True, text=True)
        if refused:
            if done.returncode != 1 or refused not in done.stderr:
                self.failures.append(f"{name}: expected a refusal with '{refused}', found {done.stderr or done.stdout[-200:]}")
        elif done.returncode:
            self.failures.append(f"{name}: {done.stderr.strip()}")
        else:
            self.expected[name] = {"kind": kind, "answers": self.answers(kind, run), "tolerance": tolerance}


def make_torch(matrix):
    import numpy
    import torch
    from safetensors.torch import save_file
    from torch import nn

    import modules
    torch.manual_seed(20)
    made = matrix.folder / "made"

    class Logits(nn.Module):
        """States without its softmax, under the same names."""
        def __init__(self, inner):
            super().__init__()
            self.rnn, self.out, self.raw = inner.rnn, inner.out, inner.raw

        def forward(self, x):
            return self.raw(x)

    network = {"Classifier": [{"type": "embedding", "prefix": "embed"}, {"type": "lstm", "prefix": "rnn"},
                              {"type": "pooling", "mode": "mean"}, {"type": "linear", "prefix": "head.1"},
                              {"type": "relu"}, {"type": "linear", "prefix": "head.3"}],
               "Rnn": [{"type": "rnn", "prefix": "rnn", "nonlinearity": "relu"}, {"type": "pooling", "mode": "last"},
                       {"type": "linear", "prefix": "out"}]}
    for name, layers in network.items():
        (made / f"{name}.json").write_text(json.dumps(layers))
    table = [  # class, kind, pooling, ids, what the dynamo exporter's file must be refused with
        ("Writer", "generation", None, True, None), ("GruWriter", "generation", None, True, None),
        ("Classifier", "text", "mean", True, None), ("LastWord", "text", "last", True, None),
        ("Sine", "forecast", None, False, "left out the projection"), ("Deep", "forecast", None, False, None),
        ("Gru", "rows", "max", False, None), ("Rnn", "rows", "last", False, "unrolled"),
        ("Cells", "rows", "last", False, "carousel"), ("States", "rows", "last", False, None),
        ("Stacked", "rows", "last", False, None),
    ]
    for name, kind, pooling, ids, dynamo in table:
        model = getattr(modules, name)().eval()
        raw = Logits(model) if name == "States" else model
        run = torch_run(raw, ids)
        flags = ["--pooling", pooling] if pooling else []
        if name in network:
            flags = ["--network", str(made / f"{name}.json")]
        state = model.state_dict()
        torch.save(state, made / f"{name}.pt")
        torch.save(state, made / f"{name}-old.pt", _use_new_zipfile_serialization=False)
        torch.save(model, made / f"{name}-module.pt")
        torch.save({"state_dict": {"model." + k: v for k, v in state.items()}, "epoch": 1,
                    "optimizer_states": [torch.optim.Adam(model.parameters()).state_dict()]}, made / f"{name}.ckpt")
        save_file(state, made / f"{name}.safetensors")
        numpy.savez(made / f"{name}.npz", **{key: value.numpy() for key, value in state.items()})
        sample = torch.tensor([[1, 2, 3]]) if ids else torch.zeros(1, 3, 1 if kind == "forecast" else 2)
        torch.jit.trace(model, sample).save(str(made / f"{name}-trace.pt"))
        torch.export.save(torch.export.export(model, (sample,)), made / f"{name}.pt2")
        for form in (".pt", "-old.pt", "-module.pt", "-trace.pt", ".pt2", ".npz", ".safetensors"):
            matrix.add(f"torch-{name}{form.replace('.', '-')}", made / f"{name}{form}", kind, run, *flags)
        if name not in network:
            matrix.add(f"torch-{name}-ckpt", made / f"{name}.ckpt", kind, run, *flags)
        half = getattr(modules, name)()
        half.load_state_dict(state)
        half = half.half().eval()
        torch.save(half.state_dict(), made / f"{name}-half.pt")
        half = half.float()
        matrix.add(f"torch-{name}-half", made / f"{name}-half.pt", kind,
                   torch_run(Logits(half) if name == "States" else half, ids), *flags)
        export(matrix, name, model, kind, run, ids, dynamo)


def make_networks(matrix):
    """What is no chain: skips, attention, what the step before gave, two networks, and branches of Keras."""
    import files_networks
    import keras
    import modules
    import numpy
    import torch
    from keras import layers as L
    from safetensors.torch import save_file
    made = matrix.folder / "made"
    torch.manual_seed(25)
    for name, kind, ids in (("Skip", "generation", True), ("Attended", "text", True), ("Feeding", "generation", True), ("Assorted", "rows", False)):
        model = getattr(modules, name)().eval()
        network = made / f"{name}.json"
        network.write_text(json.dumps(getattr(files_networks, name.upper())))
        torch.save(model.state_dict(), made / f"{name}.pt")
        torch.save(model, made / f"{name}-module.pt")
        save_file(model.state_dict(), made / f"{name}.safetensors")
        numpy.savez(made / f"{name}.npz", **{key: value.numpy() for key, value in model.state_dict().items()})
        for form in (".pt", "-module.pt", ".safetensors", ".npz"):
            matrix.add(f"network-{name}{form.replace('.', '-')}", made / f"{name}{form}", kind, torch_run(model, ids), "--network", str(network))
    make_translator(matrix, modules.Translator().eval(), files_networks.TRANSLATOR)
    keras.utils.set_random_seed(25)
    model, network = files_networks.branches(L, keras, len(LETTERS)), made / "branches.json"
    network.write_text(json.dumps(files_networks.BRANCHES))
    model.save(made / "branches.h5")
    model.save(made / "branches.keras")
    model.save_weights(made / "branches.weights.h5")

    def run(ids, side=None):
        if side:  # as pad_sequences(maxlen=12, padding=side) makes them
            ids = ([0] * 12 + ids)[-12:] if side == "left" else (ids[-12:] + [0] * 12)[:12]
        return numpy.log(numpy.asarray(model.predict(numpy.array([ids]), verbose=0), dtype=float)[0])
    for form in ("h5", "keras", "weights.h5"):
        for side in (None, "left", "right"):
            matrix.add(f"network-branches-{side or 'none'}-{form.replace('.', '-')}", made / f"branches.{form}", "text",
                       lambda ids, side=side: run(ids, side), "--network", str(network), "--pad", f"{side}:12:a" if side else "none")


def make_translator(matrix, model, network):
    """What it writes for each text, always the likeliest letter, and the sum of their logarithms."""
    import torch
    made = matrix.folder / "made"
    torch.save(model.state_dict(), made / "Translator.pt")
    (made / "Translator.json").write_text(json.dumps(network))
    begin, end = LETTERS.index(","), LETTERS.index(".")

    def run(text):
        ids, score = [begin], 0.0
        source = torch.tensor([[begin, *(LETTERS.index(c) for c in text), end]])
        while len(ids) < 13 and (len(ids) == 1 or ids[-1] != end):
            with torch.no_grad():
                shares = torch.log_softmax(model(source, torch.tensor([ids]))[0, -1].double(), 0)
            ids.append(int(shares.argmax()))
            score += float(shares.max())
        return score
    matrix.add("network-Translator-pt", made / "Translator.pt", "translation", run, "--network", str(made / "Translator.json"),
               "--bos", ",", "--eos", ".", "--initial-state", "encoder")


WEATHER = ["--columns", "load:target,price:past,warm:future", "--horizon", "4", "--context", "12"]
TWINS = ["--columns", "a:target,b:target", "--horizon", "3", "--context", "12"]


def make_forecasters(matrix):
    """All steps of a horizon at once: three columns of which one is the target, and two targets."""
    import torch

    import modules
    made = matrix.folder / "made"
    for name, inputs, outputs, axes, flags in (("columns", 3, 4, None, WEATHER), ("twins", 2, 6, (3, 2), TWINS)):
        model = modules.Horizons(inputs, outputs, axes).eval()
        run = torch_run(model, False)
        torch.save(model.state_dict(), made / f"{name}.pt")
        order = ["--shape", "step,column"] if axes else []
        matrix.add(f"torch-{name}-pt", made / f"{name}.pt", name, run, *flags, *order, "--pooling", "last")
        for dynamo in (False, True):
            file, x = made / f"{name}-{dynamo}.onnx", torch.zeros(1, 12, inputs)
            torch.onnx.export(model, (x,), str(file), dynamo=dynamo, verbose=False)
            matrix.add(f"onnx-{name}-{'dynamo' if dynamo else 'script'}", file, name, run, *flags)


def make_tutorials(matrix):
    """Models as the tutorials of PyTorch and Keras write them, with their own sizes."""
    import torch

    import modules
    torch.manual_seed(0)
    made, model = matrix.folder / "made", modules.Sequence().double().eval()
    torch.save(model.state_dict(), made / "tutorial-sine.pt")
    matrix.add("tutorial-sine-pt", made / "tutorial-sine.pt", "forecast", torch_run(model, False))
    torch.save(model, made / "tutorial-sine-module.pt")
    matrix.add("tutorial-sine-module-pt", made / "tutorial-sine-module.pt", "forecast", torch_run(model, False))


def export(matrix, name, model, kind, run, ids, dynamo_refused):
    import torch
    made = matrix.folder / "made"
    width = 1 if kind == "forecast" else 2
    x = torch.zeros(1, 7, dtype=torch.long) if ids else torch.zeros(1, 7, width)
    flags = ["--pad", "none"] if kind.startswith("text") else []
    for dynamo in (False, True):
        path = made / f"{name}-{'dynamo' if dynamo else 'script'}.onnx"
        axes = {} if dynamo else {"input_names": ["x"], "output_names": ["y"],
                                  "dynamic_axes": {"x": {0: "batch", 1: "steps"}}}
        if not dynamo and name in ("Sine", "Cells"):
            continue  # that exporter refuses projections, and unrolls cells
        torch.onnx.export(model, (x,), str(path), dynamo=dynamo, verbose=False, **axes)
        refused = dynamo_refused if dynamo else None
        matrix.add(f"onnx-{name}-{'dynamo' if dynamo else 'script'}", path, kind, run, *flags,
                   refused="node" if refused == "carousel" else refused)


def make_quantised(matrix):
    """What quantize_dynamic of ONNX Runtime makes of the exporters' files, against ONNX Runtime itself."""
    import numpy
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic
    made = matrix.folder / "made"
    for name, kind in (("Writer", "generation"), ("Classifier", "text"), ("LastWord", "text"), ("Deep", "forecast"), ("Stacked", "rows")):
        for columns in (False, True):
            file = made / f"{name}-{'columns' if columns else 'whole'}.onnx"
            quantize_dynamic(made / f"{name}-script.onnx", file, per_channel=columns,
                             weight_type=QuantType.QInt8 if columns else QuantType.QUInt8)
            session = onnxruntime.InferenceSession(file)
            dtype = "int64" if kind in ("generation", "text") else "float32"

            def run(x, session=session, dtype=dtype):
                return session.run(None, {"x": numpy.array([x], dtype)})[0][0].astype(float)
            flags = ["--pad", "none"] if kind == "text" else []
            matrix.add(f"quantised-{name}-{'columns' if columns else 'whole'}", file, kind, run, *flags, tolerance=QUANTISED_TOLERANCE)


def make_keras(matrix):
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(20)
    made, n = matrix.folder / "made", len(LETTERS)

    def embed(mask=True):
        return L.Embedding(n, 5, mask_zero=mask)

    softmax3 = lambda: L.Dense(3, activation="softmax")  # noqa: E731
    x = keras.Input((None, 2))
    y = L.TimeDistributed(L.Dense(4, activation="tanh"))(x)
    y = L.GRU(5, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(y)
    chain = keras.Model(x, softmax3()(L.LSTM(4, go_backwards=True)(y)))
    models = {
        "lstm": ("text", [keras.Input((None,)), embed(), L.LSTM(6), softmax3()]),
        "binary": ("text-binary", [keras.Input((None,)), embed(), L.Bidirectional(L.LSTM(4, return_sequences=True)), L.GRU(4),
                                   L.Dense(5, activation="relu"), L.Dense(1, activation="sigmoid")]),
        "maxpool": ("text", [keras.Input((None,)), embed(False), L.Bidirectional(L.GRU(4, return_sequences=True)),
                             L.GlobalMaxPooling1D(), softmax3()]),
        "meanpool": ("rows", [keras.Input((None, 2)), L.LSTM(4, return_sequences=True), L.GlobalAveragePooling1D(),
                              L.Dense(6, activation="gelu"), softmax3()]),
        "hard": ("rows", [keras.Input((None, 2)), L.LSTM(4, recurrent_activation="hard_sigmoid", use_bias=False), softmax3()]),
        "rnn": ("rows", [keras.Input((None, 2)), L.SimpleRNN(4, activation="relu", return_sequences=True), L.Dropout(0.3),
                         L.SimpleRNN(3), softmax3()]),
        "relu": ("rows", [keras.Input((None, 2)), L.LSTM(4, activation="relu"), softmax3()]),
        "forecast": ("forecast", [keras.Input((None, 1)), L.LSTM(8, return_sequences=True), L.LSTM(4), L.Dense(1)]),
        # keras.io's bidirectional LSTM on IMDB, with a vocabulary of letters
        "imdb": ("text-binary", [keras.Input((None,), dtype="int32"), L.Embedding(n, 128), L.Bidirectional(L.LSTM(64, return_sequences=True)),
                                 L.Bidirectional(L.LSTM(64)), L.Dense(1, activation="sigmoid")]),
        "columns": ("columns", [keras.Input((12, 3)), L.GRU(5, return_sequences=True), L.LSTM(4), L.Dense(4)]),
        "twins": ("twins", [keras.Input((12, 2)), L.LSTM(4), L.Dense(6), L.Reshape((3, 2))]),
        "flat": ("columns", [keras.Input((12, 3)), L.LSTM(4, return_sequences=True), L.Flatten(), L.Dense(4)]),
        # every text is 12 tokens long, with id 0 before it
        "padded": ("padded", [keras.Input((12,)), embed(False), L.LSTM(5), softmax3()]),
        "letters": ("letters", [keras.Input((None, n)), L.LSTM(8, return_sequences=True), L.Dense(n, activation="softmax")]),
    }
    built = {name: (kind, keras.Sequential(layers)) for name, (kind, layers) in models.items()} | {"chain": ("rows", chain)}
    for name, (kind, model) in built.items():
        def run(value, model=model):
            return numpy.asarray(model.predict(numpy.array([value]), verbose=0), dtype=float)[0]

        def logits(value, run=run):
            return numpy.log(run(value))

        def logit(value, run=run):
            return numpy.log(run(value) / (1 - run(value)))

        def letters(ids, run=run):
            return numpy.log(run(numpy.eye(n)[ids]))
        def padded(ids, logits=logits):
            return logits(([0] * 12 + ids)[-12:])
        given = {"forecast": run, "columns": run, "twins": run, "padded": padded, "text-binary": logit, "letters": letters}.get(kind, logits)
        flags = ["--pad", "none"] if name in ("maxpool", "imdb") else []
        flags += {"columns": WEATHER, "twins": TWINS, "padded": ["--pad", "left:12:a"]}.get(kind, [])
        kind = {"letters": "generation", "padded": "text"}.get(kind, kind)
        for form in ("h5", "keras"):
            model.save(made / f"{name}.{form}")
            matrix.add(f"keras-{name}-{form}", made / f"{name}.{form}", kind, given, *flags)


def ask(url, route, body):
    request = urllib.request.Request(f"{url}/v1/{route}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def served(url, name, kind):
    if kind == "generation":
        results = ask(url, "score", {"model": name, "input": TEXTS})["results"]
        return [r["log_likelihood"] / r["tokens_scored"] for r in results]
    if kind == "forecast":
        return [f["mean"][0] for f in ask(url, "forecast", {"model": name, "series": SERIES, "horizon": 1})["forecasts"]]
    if kind == "translation":
        body = {"model": name, "input": SOURCES, "num_beams": 1, "max_tokens": 12, "length_penalty": 0}
        return [t["score"] for t in ask(url, "translate", body)["translations"]]
    if kind in ("columns", "twins"):
        series = {"target": COLUMNS[0][:12], "past_covariates": {"price": COLUMNS[1][:12]}, "future_covariates": {"warm": COLUMNS[2]}}
        if kind == "twins":
            series = {"target": [column[:12] for column in COLUMNS[:2]]}
        return ask(url, "forecast", {"model": name, "series": [series], "horizon": 4 if kind == "columns" else 3})["forecasts"][0]["mean"]
    inputs = TEXTS if kind.startswith("text") else ROWS
    labels = ["no", "yes"] if kind.endswith("binary") else ["a", "b", "c"]
    results = ask(url, "classify", {"model": name, "input": inputs})["results"]
    return [[next(r["score"] for r in one if r["label"] == label) for label in labels] for one in results]


def distance(a, b):
    if isinstance(a, list):
        return max(distance(x, y) for x, y in zip(a, b, strict=True))
    return abs(a - b)


def compare(folder, url):
    expected = json.loads((folder / "expected.json").read_text())
    failures, largest, groups = list(expected["failures"]), 0.0, {}
    for name, case in expected["cases"].items():
        difference = distance(case["answers"], served(url, name, case["kind"]))
        group = name.split("-")[0] + " " + name.rsplit("-", 1)[1]
        groups[group] = [groups.get(group, [0, 0.0])[0] + 1, max(groups.get(group, [0, 0.0])[1], difference)]
        if case["tolerance"] == TOLERANCE:
            largest = max(largest, difference)
        if not difference <= case["tolerance"]:
            failures.append(f"{name}: the server differs by {difference:.3g}")
    for group, (n, difference) in sorted(groups.items()):
        print(f"  {group:24} {n:3} models, largest difference {difference:.1e}")
    for failure in failures:
        print(f"FAILED: {failure}")
    checks = expected["checks"]
    print(f"import: largest difference {largest:.2g}: {(checks - len(failures)) * 100 // checks}%: "
          f"Checks: {checks}, Failures: {len(failures)}, Errors: 0")
    return bool(failures)


def main():
    folder, program, what = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    if what == "compare":
        return compare(folder, sys.argv[4])
    for name in ("made", "bundles"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    matrix = Matrix(folder, program)
    began = time.monotonic()
    make_torch(matrix)
    make_quantised(matrix)
    make_tutorials(matrix)
    make_forecasters(matrix)
    make_networks(matrix)
    make_keras(matrix)
    (folder / "expected.json").write_text(json.dumps(
        {"cases": matrix.expected, "failures": matrix.failures, "checks": matrix.checks}))
    print(f"  {matrix.checks} files made and imported in {time.monotonic() - began:.0f} s")
    return False


if __name__ == "__main__":
    sys.exit(main())
