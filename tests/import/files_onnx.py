"""Files of ONNX, by the exporters of PyTorch, tf2onnx and by hand; make_files.py makes them."""
from common import FILES, LETTERS, row_cases, text_cases, write_golden
from files_keras import hard_sigmoid_2, keras_lstm


def make_states():
    """Models whose initial states are inputs of the graph: with recorded inputs beside one, and in one tensor of two layers."""
    import torch
    from modules import Fed
    from onnx import numpy_helper
    for name, layers in (("onnx_fed/model", 1), ("onnx_fed_layers", 2)):
        torch.manual_seed(16)
        model, folder = Fed(layers).eval(), FILES / "onnx_fed/test_data_set_0"
        folder.mkdir(parents=True, exist_ok=True)
        inputs = [torch.randn(2, 5, 3), torch.randn(layers, 2, 4), torch.randn(layers, 2, 4), torch.randn(1, 2, 5)]
        names = ["x", "initial_h", "initial_c", "initial_g"]
        axes = {n: {0: "batch", 1: "steps"} if n == "x" else {1: "batch"} for n in names}
        torch.onnx.export(model, tuple(inputs), str(FILES / f"{name}.onnx"), dynamo=False, input_names=names, output_names=["y"],
                          dynamic_axes=axes)
        if layers == 1:
            for i, x in enumerate(inputs):
                (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(x.numpy(), names[i]).SerializeToString())
            y = numpy_helper.from_array(model(*inputs).detach().numpy(), "y")
            (folder / "output_0.pb").write_bytes(y.SerializeToString())


def make_onnx():
    import warnings

    import numpy
    import onnx
    import torch
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    from modules import Classifier, Gru, Sine, States, Writer
    warnings.filterwarnings("ignore")
    torch.manual_seed(17)
    writer, classifier, gru, states = Writer().eval(), Classifier().eval(), Gru().eval(), States().eval()
    ids, rows = torch.zeros(1, 7, dtype=torch.long), torch.zeros(1, 7, 2)

    def run(model, x):
        with torch.no_grad():
            return model(x)[0]

    def export(model, x, name, dynamo=False, axes=False, **options):
        if axes:
            options |= {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "batch", 1: "steps"}}}
        torch.onnx.export(model, (x,), str(FILES / name), dynamo=dynamo, verbose=False, **options)

    export(writer, ids, "onnx_writer.onnx", axes=True)
    export(writer, ids, "onnx_writer_dynamo.onnx", dynamo=True, external_data=False)
    export(writer, ids, "onnx_external.onnx", dynamo=True, external_data=True)
    write_golden("onnx_writer", text_cases(lambda t: run(writer, torch.tensor([t]))[-1]))
    export(classifier, ids, "onnx_classifier.onnx", axes=True)
    export(classifier, ids, "onnx_classifier_dynamo.onnx", dynamo=True, external_data=False)
    export(classifier, ids, "onnx_training.onnx", training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)
    write_golden("onnx_classifier", text_cases(lambda t: run(classifier, torch.tensor([t]))))
    export(gru, rows, "onnx_gru.onnx")
    write_golden("onnx_gru", row_cases(lambda r: run(gru, torch.tensor([r])), 2))
    export(states, rows, "onnx_states_dynamo.onnx", dynamo=True, external_data=False)
    export(states, rows, "onnx_states.onnx", axes=True)
    write_golden("onnx_states", row_cases(lambda r: run(states.raw, torch.tensor([r])), 2))
    export(Sine(), torch.zeros(1, 7, 1), "onnx_projection.onnx", dynamo=True, external_data=False)

    random = numpy.random.default_rng(16)

    def draw(*shape):
        return random.normal(0, 0.7, shape).astype("float32")

    def graph(name, op, gates, producer="tests", states=False, peepholes=False, **attributes):
        directions, H = 2 if attributes.get("direction") == "bidirectional" else 1, 4
        tensors = {"W": draw(directions, gates * H, 2), "R": draw(directions, gates * H, H), "B": draw(directions, 2 * gates * H),
                   "V": draw(directions * H, 3), "shape": numpy.array([-1, directions * H])}
        inputs = ["X", "W", "R", "B", ""] + [""] * 3
        if states:
            tensors["h0"] = draw(directions, 1, H)
            inputs[5] = "h0"
            if op == "LSTM":
                tensors["c0"] = draw(directions, 1, H)
                inputs[6] = "c0"
        if peepholes:
            tensors["P"] = draw(directions, 3 * H)
            inputs[7] = "P"
        while not inputs[-1]:
            inputs.pop()
        nodes = [helper.make_node("Transpose", ["x"], ["X"], perm=[1, 0, 2]),
                 helper.make_node(op, inputs, ["", "Yh"], hidden_size=H, **attributes),
                 helper.make_node("Transpose", ["Yh"], ["T"], perm=[1, 0, 2]),
                 helper.make_node("Reshape", ["T", "shape"], ["h"]), helper.make_node("MatMul", ["h", "V"], ["y"])]
        model = helper.make_model(helper.make_graph(
            nodes, name, [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
            [numpy_helper.from_array(v, k) for k, v in tensors.items()]),
            producer_name=producer, opset_imports=[helper.make_opsetid("", 17)])
        onnx.save(model, FILES / f"{name}.onnx")
        return ReferenceEvaluator(model), tensors

    evaluator, _ = graph("onnx_peepholes", "LSTM", 4, states=True, peepholes=True)
    write_golden("onnx_peepholes", row_cases(
        lambda r: evaluator.run(None, {"x": numpy.array([r], "float32")})[0][0], 2))
    evaluator2, _ = graph("onnx_reset_before", "GRU", 3, linear_before_reset=0)
    write_golden("onnx_reset_before", row_cases(
        lambda r: evaluator2.run(None, {"x": numpy.array([r], "float32")})[0][0], 2))
    graph("onnx_wrong_gru", "GRU", 3, producer="pytorch")
    _, t = graph("onnx_reverse", "LSTM", 4, direction="reverse", activations=["HardSigmoid", "Tanh", "Tanh"],
                 activation_alpha=[0.2], activation_beta=[0.5])
    i, o, f, c = 0, 1, 2, 3

    def reverse(r):
        """ONNX keeps the gates in the order i, o, f, c."""
        order = [4 * g + j for g in (i, f, c, o) for j in range(4)]
        return keras_lstm(numpy.array(r)[::-1], t["W"][0][order].T, t["R"][0][order].T,
                          (t["B"][0][:16] + t["B"][0][16:])[order], hard_sigmoid_2) @ t["V"]

    write_golden("onnx_reverse", row_cases(reverse, 2))


def make_tf2onnx():
    """Models of Keras that tf2onnx wrote (tensorflow-cpu 2.21.0 and tf2onnx 1.17.0 from PyPI, which nothing else here needs)."""
    import keras
    import numpy
    from keras import layers as L
    keras.utils.set_random_seed(21)
    numbers = lambda: keras.Input((None, 2))  # noqa: E731
    models = {
        "text": [keras.Input((None,), dtype="int32"), L.Embedding(len(LETTERS), 4), L.LSTM(4, return_sequences=True),
                 L.Bidirectional(L.LSTM(3)), L.Dense(3)],
        "both": [numbers(), L.Bidirectional(L.LSTM(3, return_sequences=True)), L.LSTM(4), L.Dense(3)],
        "loop": [numbers(), L.GRU(4), L.Dense(3)],
    }
    for name, layers in models.items():
        model = keras.Sequential(layers)

        def run(x, model=model):
            return numpy.asarray(model(numpy.array([x], dtype=model.inputs[0].dtype)))[0]
        cases = text_cases(run) if name == "text" else row_cases(run, 2)
        model.export(FILES / f"tf2onnx_{name}.onnx", format="onnx", verbose=False)
        if name != "loop":
            write_golden(f"tf2onnx_{name}", cases)


def make_quantised():
    """What quantize_dynamic of ONNX Runtime writes. The golden vectors are those of PyTorch, with the weights that the
    bytes and their scales stand for, which this reads by itself."""
    import warnings

    import numpy
    import onnx
    import torch
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from modules import States, Writer
    warnings.filterwarnings("ignore")
    torch.manual_seed(19)
    writer, states = Writer().eval(), States().eval()

    def quantise(model, x, name, **options):
        axes = {"x": {0: "batch", 1: "steps"}}
        torch.onnx.export(model, (x,), str(FILES / "float.onnx"), dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
        quantize_dynamic(FILES / "float.onnx", FILES / name, **options)
        (FILES / "float.onnx").unlink()
        graph = onnx.load(FILES / name).graph
        tensors = {t.name: numpy_helper.to_array(t).astype("float64") for t in graph.initializer}

        def floats(q, scale, zero):
            q, scale, zero = tensors[q], tensors[scale], tensors[zero]
            if scale.ndim == 2:  # one a direction and gate
                scale, zero = scale[:, None], zero[:, None]
            return torch.tensor((q - zero) * scale, dtype=torch.float32)
        found = {"lstm": [], "linear": []}
        for node in graph.node:
            if node.op_type == "DynamicQuantizeLSTM":
                found["lstm"].append((floats(node.input[1], *node.input[8:10]), floats(node.input[2], *node.input[10:12])))
            if node.op_type == "MatMulInteger":
                base = node.input[1].removesuffix("_quantized")
                found["linear"].append(floats(node.input[1], base + "_scale", node.input[3]))
            if node.op_type == "DequantizeLinear" and node.input[1].startswith("embed"):
                found["table"] = floats("embed.weight_quantized", *node.input[1:3])
        return found

    def load(rnn, lstm):
        for layer, (w, r) in enumerate(lstm):
            for d in range(len(w)):  # ONNX has the gates i, o, f, c
                for target, source in ((f"weight_ih_l{layer}", w[d].T), (f"weight_hh_l{layer}", r[d].T)):
                    i, o, f, c = source.chunk(4)
                    getattr(rnn, target + ("_reverse" if d else "")).data = torch.cat([i, f, c, o])

    def run(model, x):
        with torch.no_grad():
            return model(x)[0]

    found = quantise(writer, torch.zeros(1, 7, dtype=torch.long), "onnx_quantised_text.onnx", weight_type=QuantType.QUInt8)
    load(writer.rnn, found["lstm"])
    writer.embed.weight.data, writer.head.weight.data = found["table"], found["linear"][0].T
    write_golden("onnx_quantised_text", text_cases(lambda t: run(writer, torch.tensor([t]))[-1]))
    found = quantise(states, torch.zeros(1, 7, 2), "onnx_quantised_rows.onnx", per_channel=True, weight_type=QuantType.QInt8)
    load(states.rnn, found["lstm"])
    states.out.weight.data = found["linear"][0].T
    write_golden("onnx_quantised_rows", row_cases(lambda r: run(states.raw, torch.tensor([r])), 2))
    # A scale that the runtime computes, and one that has another shape than the weights.
    for name, change in (("onnx_quantised_odd.onnx", "out.weight_Transposed_scale"), ("onnx_quantised_gates.onnx", "LSTM")):
        model = onnx.load(FILES / "onnx_quantised_rows.onnx")
        for t in model.graph.initializer:
            if change in t.name and t.name.endswith("_scale"):
                t.CopyFrom(numpy_helper.from_array(numpy.ones(5, "float32"), t.name))
        onnx.save(model, FILES / name)
