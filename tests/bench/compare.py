"""Carousel against ONNX Runtime, OpenVINO and PyTorch: same weights, same tokens, one machine, one run.

    make bench-compare
    build/compare/venv/bin/python tests/bench/compare.py [--threads 1] [--rounds 5] [--shapes 1x1,4x1,...]

The network: embedding 100x64 -> 2 x LSTM 512 -> linear 100, weights by PyTorch from a fixed seed. A shape BxT
is one call: B sequences of T steps from a carried state, the linear layer on the last step. Each contestant
answers the same tokens first and is left out if its answer is wrong: float32 within 1e-4 of PyTorch, bfloat16
within 0.01, int8 within 0.3 on logits. OpenVINO takes part in bfloat16 if the processor has instructions for
it; elsewhere it would compute in float32. Then rounds: every contestant in turn, a median per round; the
table gives the median over rounds.

The roofline: what this machine was measured to do beside the contest (bench_kernels ceilings), and from it
the least time of each shape on one core: all products at the arithmetic peak, or the weights that must come
again, once a step for U and once a call for W, at the speed of the outer cache, whichever is longer. Where a
core's own cache keeps a part of the weights, more than 100 % is possible.
"""
import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
import openvino
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

V, E, H, LAYERS = 100, 64, 512, 2
BUILD = "build/bench"
BUNDLE = f"{BUILD}/compare"
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.01, "int8": 0.3}


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, E)
        self.lstm = torch.nn.LSTM(E, H, LAYERS)
        self.head = torch.nn.Linear(H, V)

    def forward(self, tokens, h, c):
        y, (h, c) = self.lstm(self.embedding(tokens), (h, c))
        return self.head(y[-1]), h, c


def tokens_of(B, T):
    """[T, B], as bench_network.c makes them."""
    b, i = np.meshgrid(np.arange(B), np.arange(T))
    return ((7 * b + 3 * i + b * i) % V).astype(np.int64)


def write_bundle(net):
    os.makedirs(BUNDLE, exist_ok=True)
    save_file(net.state_dict(), f"{BUNDLE}/model.safetensors")
    config = {
        "format_version": 1, "task": "text-generation",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": V, "embedding_dim": E},
            {"type": "lstm", "prefix": "lstm", "input_size": E, "hidden_size": H, "num_layers": LAYERS},
            {"type": "linear", "prefix": "head", "in_features": H, "out_features": V},
        ],
        "tokenizer": {"type": "characters", "vocabulary": [chr(256 + i) for i in range(V)]},
    }
    ids = [3, 1, 41, 59]
    output, _, _ = net(torch.tensor(ids)[:, None], *zeros(1))
    golden = {"cases": [{"input": "".join(chr(256 + i) for i in ids), "tokens": ids,
                         "output": output[0].tolist()}]}
    for name, value in (("config", config), ("golden", golden)):
        with open(f"{BUNDLE}/{name}.json", "w", encoding="utf-8") as file:
            json.dump(value, file)


def zeros(B):
    return torch.zeros(LAYERS, B, H), torch.zeros(LAYERS, B, H)


def iofc(w):
    """PyTorch's gate order i, f, g, o to ONNX's i, o, f, c."""
    i, f, g, o = np.split(w, 4)
    return np.concatenate([i, o, f, g])[None]


def write_onnx(net, path):
    weights = {k: v.detach().numpy() for k, v in net.state_dict().items()}
    tensors, nodes = [], []

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    nodes.append(helper.make_node("Gather",
                                  [constant("table", weights["embedding.weight"]), "tokens"], ["x0"]))
    for k in range(LAYERS):
        bias = np.concatenate([iofc(weights[f"lstm.bias_ih_l{k}"]), iofc(weights[f"lstm.bias_hh_l{k}"])], 1)
        nodes.append(helper.make_node(
            "LSTM",
            [f"x{k}", constant(f"W{k}", iofc(weights[f"lstm.weight_ih_l{k}"])),
             constant(f"R{k}", iofc(weights[f"lstm.weight_hh_l{k}"])), constant(f"B{k}", bias), "",
             f"h{k}", f"c{k}"], [f"y{k}", f"h{k}_out", f"c{k}_out"], hidden_size=H))
        axes = constant(f"axes{k}", np.array([1], np.int64))
        nodes.append(helper.make_node("Squeeze", [f"y{k}", axes], [f"x{k + 1}"]))
    last = constant("first_axis", np.array([0], np.int64))
    nodes.append(helper.make_node("Squeeze", [f"h{LAYERS - 1}_out", last], ["last"]))
    nodes.append(helper.make_node("Gemm", ["last", constant("Wy", weights["head.weight"]),
                                           constant("by", weights["head.bias"])], ["logits"], transB=1))
    inputs = [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["T", "B"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", V])]
    for k in range(LAYERS):
        for s in "hc":
            inputs.append(helper.make_tensor_value_info(f"{s}{k}", TensorProto.FLOAT, [1, "B", H]))
            outputs.append(helper.make_tensor_value_info(f"{s}{k}_out", TensorProto.FLOAT, [1, "B", H]))
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class Onnx:
    def __init__(self, path, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def prepare(self, B, T):
        self.feed = {"tokens": tokens_of(B, T)}
        for k in range(LAYERS):
            for s in "hc":
                self.feed[f"{s}{k}"] = np.zeros((1, B, H), np.float32)

    def answer(self):
        return self.call()[0]

    def call(self):
        return self.session.run(None, self.feed)

    def carry(self, outputs):
        for k in range(LAYERS):
            self.feed[f"h{k}"], self.feed[f"c{k}"] = outputs[1 + 2 * k], outputs[2 + 2 * k]


class OpenVino:
    def __init__(self, path, threads, precision):
        core = openvino.Core()
        self.request = core.compile_model(core.read_model(path), "CPU", {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision}).create_infer_request()
        found = self.request.get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.is_native = found == precision

    def prepare(self, B, T):
        self.feed = {"tokens": tokens_of(B, T)}
        for k in range(LAYERS):
            for s in "hc":
                self.feed[f"{s}{k}"] = np.zeros((1, B, H), np.float32)

    def answer(self):
        return self.call()["logits"]

    def call(self):
        return self.request.infer(self.feed, share_inputs=True)

    def carry(self, outputs):
        for k in range(LAYERS):
            for s in "hc":
                self.feed[f"{s}{k}"] = np.array(outputs[f"{s}{k}_out"])


class Torch:
    def __init__(self, net, threads):
        self.net, self.threads = net, threads

    def prepare(self, B, T):
        torch.set_num_threads(self.threads)
        self.tokens, self.state = torch.from_numpy(tokens_of(B, T)), zeros(B)

    def answer(self):
        return self.call()[0].numpy()

    def call(self):
        return self.net(self.tokens, *self.state)

    def carry(self, outputs):
        self.state = outputs[1:]


def time_calls(contestant, B, T, seconds=0.25):
    """Median milliseconds of one call, the state carried from call to call."""
    contestant.prepare(B, T)
    times, until = [], time.perf_counter() + seconds
    for i in range(3):
        contestant.carry(contestant.call())
    while len(times) < 9 or time.perf_counter() < until:
        start = time.perf_counter()
        outputs = contestant.call()
        times.append(time.perf_counter() - start)
        contestant.carry(outputs)
    return 1e3 * statistics.median(times)


class Carousel:
    def __init__(self, program, precision, threads):
        self.command = [program, "--precision", precision, "--threads", str(threads)]

    def prepare(self, B, T):
        self.B, self.T = B, T

    def answer(self):
        path = f"{BUILD}/outputs"
        self.run("--samples", "1", "--outputs", path)
        return np.fromfile(path, np.float32).reshape(self.B, V)

    def run(self, *options):
        shape = f"{self.B}x{self.T}"
        printed = subprocess.run([*self.command, *options, BUNDLE, shape], check=True, capture_output=True,
                                 text=True)
        return next(csv.reader(io.StringIO(printed.stdout)))


def measure(contestant, B, T):
    if isinstance(contestant, Carousel):
        contestant.prepare(B, T)
        return float(contestant.run()[4])
    return time_calls(contestant, B, T)


def contestants_of(net, threads, program):
    write_onnx(net, f"{BUILD}/float32.onnx")
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(f"{BUILD}/float32.onnx", f"{BUILD}/int8.onnx", weight_type=QuantType.QInt8)
    quantised = torch.ao.quantization.quantize_dynamic(net, {torch.nn.LSTM, torch.nn.Linear},
                                                       dtype=torch.qint8)
    narrow = OpenVino(f"{BUILD}/float32.onnx", threads, "bf16")
    if not narrow.is_native:
        print("# openvino bfloat16: not on this processor, left out")
    return {
        "carousel float32": Carousel(program, "float32", threads),
        "onnxruntime float32": Onnx(f"{BUILD}/float32.onnx", threads),
        "openvino float32": OpenVino(f"{BUILD}/float32.onnx", threads, "f32"),
        "pytorch float32": Torch(net, threads),
        "carousel bfloat16": Carousel(program, "bfloat16", threads),
        **({"openvino bfloat16": narrow} if narrow.is_native else {}),
        "carousel int8": Carousel(program, "int8", threads),
        "onnxruntime int8": Onnx(f"{BUILD}/int8.onnx", threads),
        "pytorch int8": Torch(quantised, threads),
    }


def check_answers(contestants, net):
    """Leave out each contestant that does not answer as PyTorch does in float32; print the differences."""
    B, T = 5, 9
    with torch.inference_mode():
        expected = net(torch.from_numpy(tokens_of(B, T)), *zeros(B))[0].numpy()
        for name in list(contestants):
            contestants[name].prepare(B, T)
            difference = float(np.abs(contestants[name].answer() - expected).max())
            right = difference <= TOLERANCES[name.split()[1]]
            print(f"# {name}: largest difference {difference:.2g}{'' if right else ': WRONG, left out'}")
            if not right:
                del contestants[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", default="1x1,4x1,16x1,64x1,256x1,1x128,16x128,64x128")
    parser.add_argument("--programs", default="build/release/tests")
    args = parser.parse_args()
    os.makedirs(BUILD, exist_ok=True)
    torch.manual_seed(1)
    net = Network().eval()
    with torch.inference_mode():
        write_bundle(net)
        contestants = contestants_of(net, args.threads, f"{args.programs}/bench_network")
        check_answers(contestants, net)
        shapes = [tuple(map(int, shape.split("x"))) for shape in args.shapes.split(",")]
        times = {name: {shape: [] for shape in shapes} for name in contestants}
        ceilings = []
        for n in range(args.rounds):
            ceilings.append(ceilings_of(args.programs))
            print(f"round {n + 1} of {args.rounds}", file=sys.stderr)
            for shape in shapes:
                for name, contestant in contestants.items():
                    times[name][shape].append(measure(contestant, *shape))
    print_tables(times, shapes, args.threads)
    print_roofline(times, shapes,
                   {name: statistics.median(c[name] for c in ceilings) for name in ceilings[0]}, args.threads)


def ceilings_of(programs):
    """{name: 1e9 operations or bytes a second} of one core."""
    printed = subprocess.run([f"{programs}/bench_kernels", "ceilings"], check=True, capture_output=True,
                             text=True).stdout
    rows = [row for row in csv.reader(io.StringIO(printed)) if row[1] in ("peak", "stream")]
    return {row[0]: float(row[7] if row[1] == "peak" else row[8]) for row in rows}


def least_ms(ceilings, peak, size, B, T, threads):
    """Milliseconds of a shape at an arithmetic peak, with weights of `size` bytes."""
    operations = 2 * B * T * (2 * LAYERS - 1) * 4 * H * H + 2 * B * H * V
    weights = (LAYERS * T + LAYERS - 1) * 4 * H * H + H * V
    return max(operations / ceilings[peak], weights * size / ceilings["L3"]) / 1e6 / threads


def print_roofline(times, shapes, ceilings, threads):
    print("\n# roofline; one core:", ", ".join(f"{name} {value:.1f}" for name, value in ceilings.items()))
    print("| | " + " | ".join(f"{B}x{T}" for B, T in shapes) + " |",
          "|---" * (len(shapes) + 1) + "|", sep="\n")
    for precision, size, peaks in (("float32", 4, ("fma512", "fma256")), ("bfloat16", 2, ("amx_bf16",)),
                                   ("int8", 1, ("vnni512", "vnni256")), ("int8", 1, ("amx_int8",))):
        peak = next((name for name in peaks if name in ceilings), None)
        if peak is None:
            print(f"# {precision}: this processor has no {' or '.join(peaks)}")
            continue
        least = {s: least_ms(ceilings, peak, size, *s, threads) for s in shapes}
        ours = {s: statistics.median(times[f"carousel {precision}"][s]) for s in shapes}
        print(f"| {precision} by {peak}, least ms | " + " | ".join(f"{least[s]:.3g}" for s in shapes) + " |")
        print(f"| reached | " + " | ".join(f"{100 * least[s] / ours[s]:.0f} %" for s in shapes) + " |")


def print_tables(times, shapes, threads):
    medians = {name: {s: statistics.median(t) for s, t in by.items()} for name, by in times.items()}
    print(f"# onnxruntime {ort.__version__}, torch {torch.__version__}, openvino {openvino.__version__}, "
          f"{threads} thread(s); ms a call, median of rounds")
    header = "| | " + " | ".join(f"{B}x{T}" for B, T in shapes) + " |"
    rule = "|---" * (len(shapes) + 1) + "|"
    print(header, rule, sep="\n")
    for name, by in medians.items():
        print(f"| {name} | " + " | ".join(f"{by[s]:.3g}" for s in shapes) + " |")
    others8 = [n for n in medians if "int8" in n and "carousel" not in n]
    ratios = [
        ("float32 against ONNX Runtime float32", "carousel float32", ["onnxruntime float32"]),
        ("float32 against OpenVINO float32", "carousel float32", ["openvino float32"]),
        ("bfloat16 against carousel float32", "carousel bfloat16", ["carousel float32"]),
        ("bfloat16 against OpenVINO bfloat16", "carousel bfloat16", ["openvino bfloat16"]),
        ("int8 against ONNX Runtime float32", "carousel int8", ["onnxruntime float32"]),
        ("int8 against the better other int8", "carousel int8", others8),
    ]
    print("\n# how many times faster", header, rule, sep="\n")
    for title, ours, others in ratios:
        if ours not in medians or not others or any(name not in medians for name in others):
            continue
        cells = [f"{min(medians[o][s] for o in others) / medians[ours][s]:.2f}" for s in shapes]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
