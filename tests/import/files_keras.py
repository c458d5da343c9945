"""Files of Keras, and of scripts that dump its weights; make_files.py makes them."""
import json

from common import FILES, LETTERS, row_cases, text_cases, write_golden


def sigmoid(x):
    import numpy
    return 1 / (1 + numpy.exp(-x))


def hard_sigmoid_2(x):
    import numpy
    return numpy.clip(0.2 * x + 0.5, 0, 1)


def keras_lstm(x, kernel, recurrent, bias, gate):
    """Keras' LSTM over x [T, in], by its definition; the last h."""
    import numpy
    units = recurrent.shape[0]
    h = c = numpy.zeros(units)
    for row in x:
        i, f, g, o = numpy.split(row @ kernel + h @ recurrent + bias, 4)
        c = gate(f) * c + gate(i) * numpy.tanh(g)
        h = gate(o) * numpy.tanh(c)
    return h


def write_h5(name, version, config, layers, fixed=True, **options):
    """A file as older versions of Keras wrote them: texts of fixed length, names with ':0'."""
    import h5py
    import numpy

    def texts(names):
        return numpy.array([n.encode() for n in names]) if names else numpy.zeros(0)

    with h5py.File(FILES / f"{name}.h5", "w") as file:
        if version:
            file.attrs["keras_version"] = version.encode()
            file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = texts([layer for layer, _ in layers])
        for layer, weights in layers:
            below = group.create_group(layer)
            below.attrs["weight_names"] = texts([weight for weight, _ in weights])
            for weight, values in weights:
                below.create_dataset(weight, data=values.astype("float32"), **options)


def make_old_keras():
    import numpy
    random = numpy.random.default_rng(16)

    def draw(*shape):
        return random.normal(0, 0.7, shape).astype("float32").astype(float)

    kernel, recurrent, bias, w, b = draw(2, 20), draw(5, 20), draw(20), draw(5, 3), draw(3)
    dense = {"class_name": "Dense", "config": {"name": "dense_1", "units": 3, "activation": "linear", "use_bias": True}}
    head = ("dense_1", [("dense_1/kernel:0", w), ("dense_1/bias:0", b)])

    def cases(gate):
        return row_cases(lambda rows: keras_lstm(numpy.array(rows), kernel, recurrent, bias, gate) @ w + b, 2)

    lstm = {"name": "lstm_1", "units": 5, "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True,
            "return_sequences": False, "go_backwards": False, "batch_input_shape": [None, None, 2]}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "LSTM", "config": lstm}, dense]}}
    weights = ("lstm_1", [("lstm_1/kernel:0", kernel), ("lstm_1/recurrent_kernel:0", recurrent), ("lstm_1/bias:0", bias)])
    write_h5("keras2", "2.2.4", config, [weights, head])
    write_golden("keras2", cases(hard_sigmoid_2))
    # Compressed by gzip, and shuffled.
    write_h5("keras2_packed", "2.2.4", config, [weights, head], compression="gzip", shuffle=True)
    # Keras 1: a matrix a gate, in the order i, c, f, o.
    old = {"name": "lstm_1", "output_dim": 5, "activation": "tanh", "inner_activation": "hard_sigmoid",
           "return_sequences": False, "batch_input_shape": [None, None, 2]}
    gates = []
    for letter, at in (("i", 0), ("c", 2), ("f", 1), ("o", 3)):
        part = slice(5 * at, 5 * at + 5)
        gates += [(f"lstm_1_W_{letter}", kernel[:, part]), (f"lstm_1_U_{letter}", recurrent[:, part]),
                  (f"lstm_1_b_{letter}", bias[part])]
    write_h5("keras1", "1.2.2", {"class_name": "Sequential", "config": [
        {"class_name": "LSTM", "config": old},
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 3, "activation": "linear", "bias": True}}]},
        [("lstm_1", gates), ("dense_1", [("dense_1_W", w), ("dense_1_b", b)])])
    # cuDNN: sigmoid gates; a gate's kernel is turned in memory, its recurrent kernel is turned.
    from_plain = numpy.concatenate([k.T.reshape(k.shape) for k in numpy.split(kernel, 4, axis=1)], axis=1)
    turned = numpy.concatenate([u.T for u in numpy.split(recurrent, 4, axis=1)], axis=1)
    other = draw(20)
    cudnn = {"name": "lstm_1", "units": 5, "return_sequences": False, "batch_input_shape": [None, None, 2]}
    write_h5("keras2_cudnn", "2.2.4", {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "CuDNNLSTM", "config": cudnn}, dense]}},
        [("lstm_1", [("lstm_1/kernel:0", from_plain), ("lstm_1/recurrent_kernel:0", turned),
                     ("lstm_1/bias:0", numpy.concatenate([bias - other, other]))]), head])
    write_golden("keras2_cudnn", cases(sigmoid))
    # What is not read: weights alone, and the newest layout of HDF5.
    import h5py
    with h5py.File(FILES / "keras_weights.h5", "w") as file:
        file.attrs["layer_names"] = numpy.array([b"lstm_1"])
    with h5py.File(FILES / "keras_latest.h5", "w", libver="latest") as file:
        file.attrs["keras_version"] = "3.0.0"


def raw_any(model, keras):
    """Predictions for any number of steps."""
    import numpy
    shape = list(model.input_shape[1:])
    free = keras.Sequential([keras.Input((None, shape[-1]))] + [
        layer.__class__.from_config(layer.get_config()) for layer in model.layers])
    free.set_weights(model.get_weights())
    return lambda x: numpy.asarray(free.predict(numpy.array([x]), verbose=0))[0]


def make_keras():
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    from keras import layers as L

    make_old_keras()
    keras.utils.set_random_seed(16)

    def raw(model):
        """The outputs before the activation of the last layer, a Dense."""
        last, inside = model.layers[-1], keras.Model(model.inputs, model.layers[-2].output)
        w, b = [numpy.array(x.detach().cpu() if hasattr(x, "detach") else x) for x in last.get_weights()]
        return lambda x: numpy.asarray(inside.predict(numpy.array([x]), verbose=0))[0] @ w + b

    def save(name, model, kinds):
        for kind in kinds:
            model.save(FILES / f"{name}.{kind}")

    binary = keras.Sequential([
        keras.Input((None,)), L.Embedding(len(LETTERS), 4, mask_zero=True),
        L.Bidirectional(L.LSTM(3, return_sequences=True)), L.GRU(4), L.Dropout(0.2), L.Dense(5, activation="relu"),
        L.Dense(1, activation="sigmoid")])
    save("keras_binary", binary, ["h5", "keras"])
    write_golden("keras_binary", text_cases(raw(binary), ["b", "bed fed", "cfe, b.", "hedé. cfe ebch bed"]))
    forecast = keras.Sequential([keras.Input((10, 1)), L.LSTM(4, return_sequences=True), L.SimpleRNN(3), L.Dense(1)])
    save("keras_forecast", forecast, ["h5"])
    write_golden("keras_forecast", row_cases(raw_any(forecast, keras), 1, flat=True))
    x = keras.Input((None, 2))
    y = L.TimeDistributed(L.Dense(4, activation="tanh"))(x)
    y = L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(y)
    y = L.LSTM(3, go_backwards=True, name="turned")(y)
    chain = keras.Model(x, L.Dense(3, activation="softmax")(y))
    save("keras_chain", chain, ["keras"])
    write_golden("keras_chain", row_cases(raw(chain), 2))
    letters = keras.Sequential([keras.Input((None, len(LETTERS))), L.LSTM(5), L.Dense(len(LETTERS), activation="softmax")])
    save("keras_letters", letters, ["keras"])
    write_golden("keras_letters", text_cases(lambda tokens: raw(letters)(numpy.eye(len(LETTERS))[tokens])))
    pooled = keras.Sequential([
        keras.Input((None,)), L.Embedding(len(LETTERS), 4), L.Bidirectional(L.GRU(3, return_sequences=True)),
        L.GlobalMaxPooling1D(), L.Dense(3, activation="softmax")])
    save("keras_pooled", pooled, ["keras"])
    write_golden("keras_pooled", text_cases(raw(pooled)))
    normed = keras.Sequential([
        keras.Input((None, 2)), L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"), L.BatchNormalization(),
        L.LSTM(4, return_sequences=True), L.LayerNormalization(), L.GlobalAveragePooling1D(), L.Dense(3, activation="softmax")])
    normed.layers[1].set_weights([numpy.linspace(0.5, 1.5, 4) * k for k in (1, 0.3, 0.2, 2)])
    save("keras_normed", normed, ["keras"])
    write_golden("keras_normed", row_cases(raw(normed), 2))
    tagger = keras.Sequential([
        keras.Input((None, 2)), L.Bidirectional(L.GRU(3, return_sequences=True)), L.TimeDistributed(L.Dense(2))])
    save("keras_every_step", tagger, ["keras"])
    cases = row_cases(lambda rows: [0], 2)
    for case in cases:
        del case["output"]
        found = tagger.predict(numpy.array([case["features"]]), verbose=0)[0]
        case["outputs"] = [[float(x) for x in row] for row in found]
    write_golden("keras_every_step", cases)
    # What is not served.
    a = L.LSTM(3)(x)
    save("keras_branches", keras.Model(x, L.Dense(2)(L.Concatenate()([a, L.GRU(3)(x)]))), ["keras"])
    save("keras_lambda", keras.Sequential([keras.Input((None, 2)), L.LSTM(3), L.RepeatVector(2), L.LSTM(2)]), ["keras"])


def make_flatten():
    """A window of four steps in one dense layer; the second layer reads it from its end, and gives its steps in that order."""
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(24)
    model = keras.Sequential([keras.Input((4, 2)), L.LSTM(3, return_sequences=True),
                              L.SimpleRNN(3, return_sequences=True, go_backwards=True), L.Flatten(), L.Dense(3)])
    model.save(FILES / "keras_flatten.keras")
    cases = []
    for n in range(3):
        rows = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for i in range(2)] for t in range(4)]
        output = model.predict(numpy.array([rows]), verbose=0)[0]
        cases.append({"input": rows, "features": rows, "output": [float(x) for x in output]})
    write_golden("keras_flatten", cases)
    keras.Sequential([keras.Input((None, 2)), L.LSTM(3, return_sequences=True), L.TimeDistributed(L.Dense(2)), L.Flatten()]).save(FILES / "keras_open.keras")


def make_dumps():
    """Weights that scripts wrote: JSON and NumPy's arrays, under the names of PyTorch and of Keras."""
    import os
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy
    import torch
    from keras import layers as L

    from modules import Writer
    writer = Writer().eval()
    writer.load_state_dict(torch.load(FILES / "writer2_checkpoint.pt")["model_state_dict"])
    json.dump({k: v.tolist() for k, v in writer.state_dict().items()} | {"epochs": 3}, open(FILES / "writer2.json", "w"))
    keras.utils.set_random_seed(23)
    model = keras.Sequential([keras.Input((None, 2)), L.LSTM(4, return_sequences=True, name="first"),
                              L.GRU(5, reset_after=False, return_sequences=True, name="second"), L.GRU(3, name="third"), L.Dense(3, name="out")])
    for layer in model.layers:  # biases that are not zero
        layer.set_weights([w + numpy.linspace(-0.4, 0.3, w.size).reshape(w.shape) for w in layer.get_weights()])
    arrays = {layer.name: {w.path.split("/")[-1]: w.value.detach().numpy() for w in layer.weights} for layer in model.layers}
    json.dump({name: {key: w.tolist() for key, w in group.items()} for name, group in arrays.items()}, open(FILES / "dump.json", "w"))
    numpy.savez(FILES / "dump.npz", **{f"{name}/{key}:0": w for name, group in arrays.items() for key, w in group.items()})
    write_golden("dump", row_cases(lambda rows: model.predict(numpy.array([rows]), verbose=0)[0], 2))
    json.dump({"a": [[1, 2], [3]], "lstm.kernel": []}, open(FILES / "uneven.json", "w"))


def make_wider():
    """The two targets as the exporter of PyTorch and Keras write them, a reshape amid a model, and padded texts."""
    import keras
    import numpy
    import torch
    from modules import Horizons
    torch.manual_seed(16)
    model = Horizons(2, 6, (3, 2)).eval()
    model.load_state_dict(torch.load(FILES / "twins.pt"))
    torch.onnx.export(model, (torch.zeros(1, 9, 2),), str(FILES / "onnx_twins.onnx"), dynamo=False, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "batch", 1: "steps"}})
    keras.utils.set_random_seed(16)
    L = keras.layers
    twins = keras.Sequential([keras.Input((9, 2)), L.GRU(4), L.Dense(6), L.Reshape((3, 2))])
    twins.save(FILES / "keras_twins.keras")
    keras.Sequential([keras.Input((4, 2)), L.Reshape((2, 4)), L.LSTM(3), L.Dense(3)]).save(FILES / "keras_reshaped.keras")
    cases = []
    for n in (1, 4, 9):
        rows = [[round(((7 * t + 3 * i + n) % 11) / 5 - 1, 3) for i in range(2)] for t in range(9)]
        output = numpy.asarray(twins.predict(numpy.array([rows]), verbose=0)).reshape(-1)
        cases.append({"input": {"target": [[r[i] for r in rows] for i in range(2)]}, "features": rows,
                      "output": [float(x) for x in output]})
    write_golden("keras_twins", cases)
    pooled = keras.saving.load_model(FILES / "keras_pooled.keras")
    inside = keras.Model(pooled.inputs, pooled.layers[-2].output)
    w, b = [numpy.asarray(x) for x in pooled.layers[-1].get_weights()]
    (FILES / "padded.txt").write_text("\n".join(["<pad>", *LETTERS[1:]]))
    cases = []
    for text in ("b", "bed fed", "hedé. cfe ebch bed"):
        tokens = [LETTERS.index(c) for c in text][-12:]
        tokens = [0] * (12 - len(tokens)) + tokens
        output = numpy.asarray(inside.predict(numpy.array([tokens]), verbose=0))[0] @ w + b
        cases.append({"input": text, "tokens": tokens, "output": [float(x) for x in output]})
    write_golden("keras_padded", cases)
