#!/usr/bin/env python3
"""Makes log_mel.json: what librosa says of sounds, which the front end `log_mel` must say too (test_transcription.c).

    pip install librosa==0.11.0
    python3 tests/unit/bundles/make_log_mel.py

A case has the front end as config.json describes it, the samples, and librosa's numbers. librosa computes in float32
here as it does for its users; the test allows 1e-4.
"""
import json
import pathlib

import librosa
import numpy

CASES = [
    {"sampling_rate": 16000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "log_offset": 1e-6,
     "remove_mean": False},
    {"sampling_rate": 16000, "n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "fmin": 20, "fmax": 7600,
     "log_offset": 1e-6, "remove_mean": True, "stack": 2},
    {"sampling_rate": 8000, "n_fft": 256, "hop_length": 80, "n_mels": 24, "log_offset": 1e-10, "remove_mean": False,
     "top_db": 30},
]


def sound(n, sampling_rate, seed):
    """A tone that rises, with noise: one breath of speech has such a spectrum."""
    t, rng = numpy.arange(n) / sampling_rate, numpy.random.default_rng(seed)
    return numpy.round(0.4 * numpy.sin(2 * numpy.pi * (300 + 4000 * t) * t) + rng.normal(0, 0.03, n), 4)


def steps(samples, front):
    energies = librosa.feature.melspectrogram(
        y=samples, sr=front["sampling_rate"], n_fft=front["n_fft"], hop_length=front["hop_length"],
        win_length=front.get("win_length"), n_mels=front["n_mels"], fmin=front.get("fmin", 0.0), fmax=front.get("fmax"),
        center=False)
    if "top_db" in front:
        rows = librosa.power_to_db(energies, ref=numpy.max, amin=front["log_offset"], top_db=front["top_db"]).T
        rows = rows * numpy.log(10) / 10
    else:
        rows = numpy.log(energies + front["log_offset"]).T
    if front["remove_mean"]:
        rows = rows[:len(rows) // front["stack"] * front["stack"]]
        rows = rows - rows.mean(0)
    stack = front.get("stack", 1)
    return rows[:len(rows) // stack * stack].reshape(-1, stack * rows.shape[1])


def main():
    cases = []
    for seed, front in enumerate(CASES):
        samples = sound(front["sampling_rate"] // 16, front["sampling_rate"], seed)
        rows = steps(samples.astype(numpy.float32), front)
        cases.append({"features": {"type": "log_mel", **front}, "input": samples.tolist(),
                      "steps": [[round(float(x), 6) for x in row] for row in rows]})
    path = pathlib.Path(__file__).parent / "log_mel.json"
    path.write_text("[" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "]\n")


if __name__ == "__main__":
    main()
