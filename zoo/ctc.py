"""What the recipes of transcription share: batches of sequences of unequal lengths, the loss of connectionist
temporal classification (Graves et al. 2006), greedy reading, and edit distance. Label 0 is the blank."""

import torch
from torch import nn
from torch.nn import functional


def run(lstm, steps, lengths):
    """The outputs of an LSTM for padded steps [N, T, F]. While it is evaluated the padding takes no part; in
    training it does, because sequences of one batch are nearly equal and unpacked steps are three times as
    fast."""
    if lengths is None or lstm.training:
        return lstm(steps)[0]
    packed = nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]


def pad(sequences):
    """Sequences [T, F] as one tensor [N, longest, F], and their lengths."""
    tensors = [torch.as_tensor(s, dtype=torch.float32) for s in sequences]
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True), torch.tensor([len(s) for s in sequences])


def loss(model, batch):
    """The mean loss of a batch of pairs (steps, labels), in nats a label."""
    steps, lengths = pad([steps for steps, _ in batch])
    targets = torch.tensor([label for _, labels in batch for label in labels])
    sizes = torch.tensor([len(labels) for _, labels in batch])
    logits = functional.log_softmax(model(steps, lengths).float(), 2).transpose(0, 1)
    return functional.ctc_loss(logits, targets, lengths, sizes, zero_infinity=True)


def collapse(path):
    """Labels of a path: repetitions are one, blanks are none."""
    return [label for i, label in enumerate(path) if label and (i == 0 or label != path[i - 1])]


@torch.no_grad()
def read_all(model, sequences, size=64):
    """The likeliest path's labels of each sequence."""
    model.eval()
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    texts = [None] * len(sequences)
    for at in range(0, len(order), size):
        chosen = order[at:at + size]
        steps, lengths = pad([sequences[i] for i in chosen])
        paths = model(steps, lengths).argmax(2)
        for i, path, length in zip(chosen, paths.tolist(), lengths.tolist()):
            texts[i] = collapse(path[:length])
    return texts


def distance(found, wanted):
    """Edit distance."""
    row = list(range(len(wanted) + 1))
    for i, a in enumerate(found):
        last, row[0] = row[0], i + 1
        for j, b in enumerate(wanted):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (a != b))
    return row[-1]
