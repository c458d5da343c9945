"""Models that --network wires, and the networks; make_files.py makes them."""
import json

from common import FILES, LETTERS, row_cases, text_cases, write_golden


def network(name, layers):
    (FILES / f"{name}_network.json").write_text(json.dumps(layers))


def layer(kind, prefix=None, **keys):
    return {"type": kind} | ({"prefix": prefix} if prefix else {}) | keys


SKIP = [layer("embedding", "embed", name="x"), layer("lstm", "first", name="h"), layer("add", inputs=["x", "h"], name="a"),
        layer("layer_norm", "norm", bias=False), layer("lstm", "second", name="b"), layer("concat", inputs=["a", "b"]),
        layer("linear", "head")]
ATTENDED = [layer("embedding", "embedding"), layer("lstm", "lstm"),
            layer("attention_pooling", "attention", input_size=8, attention_size=6), layer("linear", "fc")]
FEEDING = [layer("embedding", "embed", name="x"), layer("previous", inputs=["given"], size=4, name="before"),
           layer("concat", inputs=["x", "before"]), layer("gru", "cell"), layer("tanh", name="given"), layer("linear", "head")]
ASSORTED = [layer("linear", "wide"), layer("conv1d", "conv", padding="same", groups=8), layer("rms_norm", "rms", normalized_shape=8, eps=1e-6),
            layer("leaky_relu"), layer("gru", "rnn", name="y"), layer("linear", "gate", inputs="y"), layer("sigmoid", name="gate"),
            layer("group_norm", "group", num_channels=8, num_groups=2, inputs=["y"], name="normed"),
            layer("multiply", inputs=["normed", "gate"]), layer("gated_feed_forward", "feed", embedding_dim=8, hidden_size=5),
            layer("pooling", mode="last"), layer("linear", "out")]
TRANSLATOR = {
    "encoder": [layer("embedding", "source"), layer("gru", "encoder")],
    "decoder": [layer("embedding", "target"), layer("gru", "decoder", name="h"),
                layer("attention", "score", score="general", query_size=5, memory_size=5, name="context"),
                layer("concat", inputs=["context", "h"]), layer("linear", "out")]}
BRANCHES = [layer("embedding", "table", name="x"), layer("lstm", "both", bidirectional=True, recurrent_activation="sigmoid", name="a"),
            layer("gru", "third", inputs=["x"], recurrent_activation="sigmoid", name="b"), layer("concat", inputs=["a", "b"]),
            layer("layer_norm", "norm", eps=0.001), layer("conv1d", "conv", padding="same"), layer("pooling", mode="max"),
            layer("linear", "hidden"), layer("relu"), layer("linear", "scores")]


def make_networks():
    """Skips, attention, input feeding and two networks of PyTorch; branches of Keras, with and without the model."""
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import modules
    import torch
    torch.manual_seed(25)
    for name, kind, layers in (("skip", modules.Skip, SKIP), ("attended", modules.Attended, ATTENDED), ("feeding", modules.Feeding, FEEDING),
                               ("assorted", modules.Assorted, ASSORTED), ("translator", modules.Translator, TRANSLATOR)):
        model = kind().eval()
        torch.save(model.state_dict(), FILES / f"{name}.pt")
        network(name, layers)

        def run(x, model=model, *more):
            with torch.no_grad():
                return model(torch.tensor([x]), *more)[0]
        if name == "assorted":
            write_golden(name, row_cases(run, 2))
        elif name == "attended":
            write_golden(name, text_cases(run))
        elif name == "translator":
            write_golden(name, translations(model))
        else:
            write_golden(name, text_cases(lambda x, run=run: run(x)[-1]))
    make_branches()
    corpus = FILES.parent.parent / "fuzz/corpus/network"  # what the fuzzer begins from
    corpus.mkdir(exist_ok=True)
    for name, file in [(n, f"{n}.pt") for n in ("skip", "attended", "feeding", "assorted", "translator")] + [
            ("branches", f"branches.{end}") for end in ("h5", "keras", "weights.h5")]:
        text = (FILES / f"{name}_network.json").read_bytes()
        (corpus / file).write_bytes(len(text).to_bytes(2, "big") + text + (FILES / file).read_bytes())


def translations(model):
    import torch
    cases = []
    for text, target in (("a", [9, 2]), ("bad cab", [9, 1, 4, 0]), ("hedé cafe", [9])):
        tokens = [LETTERS.index(c) for c in f",{text}."]  # between the tokens that begin and end a text
        with torch.no_grad():
            output = model(torch.tensor([tokens]), torch.tensor([target]))[0, -1]
        cases.append({"input": text, "tokens": tokens, "target": target, "output": output.tolist()})
    return cases


def branches(L, keras, n_ids):
    """Two recurrent layers over one embedding, side by side."""
    import numpy
    x = keras.Input((None,), dtype="int32")
    e = L.Embedding(n_ids, 4, name="table")(x)
    y = L.Concatenate()([L.Bidirectional(L.LSTM(3, return_sequences=True), name="both")(e), L.GRU(5, return_sequences=True, name="third")(e)])
    y = L.Conv1D(6, 3, padding="same", name="conv")(L.LayerNormalization(name="norm")(y))
    y = L.Dense(5, activation="relu", name="hidden")(L.GlobalMaxPooling1D()(y))
    model = keras.Model(x, L.Dense(3, activation="softmax", name="scores")(y))
    for one in model.layers:  # biases that are not zero
        one.set_weights([w + numpy.linspace(-0.4, 0.3, w.size).reshape(w.shape) for w in one.get_weights()])
    return model


def make_branches():
    import h5py
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(25)
    model = branches(L, keras, len(LETTERS))
    model.save(FILES / "branches.keras")
    model.save(FILES / "branches.h5")
    model.save_weights(FILES / "branches.weights.h5")
    with h5py.File(FILES / "branches.h5") as whole, h5py.File(FILES / "branches_old.h5", "w") as weights:  # as Keras 2 saved weights
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)
        weights.attrs["keras_version"] = "2.2.4"
    network("bare", [{k: v for k, v in one.items() if k != "recurrent_activation"} for one in BRANCHES])
    network("branches", BRANCHES)
    inside = keras.Model(model.inputs, model.layers[-2].output)
    w, b = [numpy.asarray(v) for v in model.layers[-1].get_weights()]
    write_golden("branches", text_cases(lambda t: inside.predict(numpy.array([t]), verbose=0)[0] @ w + b))
