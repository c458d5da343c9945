"""PyTorch modules as people write them, for the tests of import."""
import torch
from torch import nn


class Writer(nn.Module):
    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 4)
        self.rnn = nn.LSTM(4, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(6, n_ids)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0])


class Classifier(nn.Module):
    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 4)
        self.rnn = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 3))

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0].mean(1))


class Sine(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 8, proj_size=3, batch_first=True)
        self.out = nn.Linear(3, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.LSTMCell(2, 5)
        self.two = nn.LSTMCell(5, 5)
        self.out = nn.Linear(5, 3, bias=False)

    def forward(self, x):
        one = two = None
        for t in range(x.shape[1]):
            one = self.one(x[:, t], one)
            two = self.two(one[0], two)
        return self.out(two[0])


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(2, 5, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 3)

    def forward(self, x):
        return self.out(self.gru(x)[0].amax(1))


class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 5, batch_first=True, nonlinearity="relu")
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class States(nn.Module):
    """The last layer's states of both directions, as classifiers are often written."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(2, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(8, 3)

    def raw(self, x):
        _, (h, _) = self.rnn(x)
        return self.out(torch.cat([h[-2], h[-1]], 1))

    def forward(self, x):
        return torch.softmax(self.raw(x), 1)


class GruWriter(nn.Module):
    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 4)
        self.gru = nn.GRU(4, 7, num_layers=2, batch_first=True)
        self.head = nn.Linear(7, n_ids)

    def forward(self, ids):
        return self.head(self.gru(self.embed(ids))[0])


class LastWord(nn.Module):
    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 4)
        self.rnn = nn.LSTM(4, 5, num_layers=2, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, ids):
        _, (h, _) = self.rnn(self.embed(ids))
        return self.out(h[-1])


class Deep(nn.Module):
    """A forecaster of three layers without biases."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 6, num_layers=3, batch_first=True, bias=False)
        self.out = nn.Linear(6, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


class Stacked(nn.Module):
    """Two recurrent layers of different kinds, one after the other."""

    def __init__(self):
        super().__init__()
        self.first = nn.GRU(2, 6, batch_first=True, bidirectional=True)
        self.second = nn.LSTM(12, 5, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.second(self.first(x)[0])[0][:, -1])


class Normed(nn.Module):
    """A convolution and norms around an LSTM, as in recognisers of gestures and of activities."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding="same")
        self.batch = nn.BatchNorm1d(4)
        self.rnn = nn.LSTM(4, 5, batch_first=True)
        self.norm = nn.LayerNorm(5, eps=1e-4)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        x = self.batch(torch.relu(self.conv(x.transpose(1, 2)))).transpose(1, 2)
        return self.out(self.norm(self.rnn(x)[0][:, -1]))


class Regressor(nn.Module):
    """Two values from three numbers a step."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, x):
        return self.out(self.gru(x)[0][:, -1])


class Horizons(nn.Module):
    """All steps of a horizon at once, of one column or several, as forecasters are often written."""

    def __init__(self, n_columns=3, n_outputs=4, axes=None):
        super().__init__()
        self.lstm = nn.LSTM(n_columns, 6, batch_first=True)
        self.head = nn.Linear(6, n_outputs)
        self.axes = axes

    def forward(self, x):
        out = self.head(self.lstm(x)[0][:, -1])
        return out.view(-1, *self.axes) if self.axes else out


class Fed(nn.Module):
    """An LSTM and a GRU whose states come from outside, as models that are called again and again are exported."""

    def __init__(self, n_layers=1):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, n_layers, batch_first=True)
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, x, h, c, g):
        return self.out(self.gru(self.lstm(x, (h, c))[0], g)[0][:, -1])


class Sequence(nn.Module):
    """The sine waves of PyTorch's examples (time_sequence_prediction): two cells, in double, unrolled by hand."""

    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 51)
        self.lstm2 = nn.LSTMCell(51, 51)
        self.linear = nn.Linear(51, 1)

    def forward(self, input):
        one = two = None
        for step in input.split(1, dim=1):
            one = self.lstm1(step[:, 0], one)
            two = self.lstm2(one[0], two)
        return self.linear(two[0])


class Skip(nn.Module):
    """A residual connection, a norm without a bias, and both layers side by side."""

    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 6)
        self.first, self.second = nn.LSTM(6, 6, batch_first=True), nn.LSTM(6, 6, batch_first=True)
        self.norm = nn.LayerNorm(6, bias=False)
        self.head = nn.Linear(12, n_ids)

    def forward(self, x):
        x = self.embed(x)
        a = x + self.first(x)[0]
        b = self.second(self.norm(a))[0]
        return self.head(torch.cat([a, b], -1))


class Attended(nn.Module):
    """An average of all steps, weighted by attention."""

    def __init__(self, n_ids=12):
        super().__init__()
        self.embedding = nn.Embedding(n_ids, 5)
        self.lstm = nn.LSTM(5, 4, bidirectional=True, batch_first=True)
        self.attention = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 1))
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        out, _ = self.lstm(self.embedding(x))
        return self.fc((torch.softmax(self.attention(out), dim=1) * out).sum(1))


class Feeding(nn.Module):
    """Each step reads what the step before gave."""

    def __init__(self, n_ids=12):
        super().__init__()
        self.embed = nn.Embedding(n_ids, 5)
        self.cell = nn.GRUCell(9, 4)
        self.head = nn.Linear(4, n_ids)

    def forward(self, ids):
        h = torch.zeros(len(ids), 4)
        given, outputs = torch.zeros_like(h), []
        for t in range(ids.shape[1]):
            h = self.cell(torch.cat([self.embed(ids[:, t]), given], -1), h)
            given = torch.tanh(h)
            outputs.append(self.head(given))
        return torch.stack(outputs, 1)


class Assorted(nn.Module):
    """Layers that no reader places by itself: norms of other kinds, grouped convolutions, a gate."""

    def __init__(self):
        super().__init__()
        self.wide, self.conv = nn.Linear(2, 8), nn.Conv1d(8, 8, 3, padding="same", groups=8)
        self.rms, self.group = nn.RMSNorm(8, eps=1e-6), nn.GroupNorm(2, 8)
        self.rnn, self.gate = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 8)
        self.feed = nn.ModuleDict({"gate": nn.Linear(8, 5, bias=False), "up": nn.Linear(8, 5, bias=False), "down": nn.Linear(5, 8, bias=False)})
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        y = nn.functional.leaky_relu(self.rms(self.conv(self.wide(x).transpose(1, 2)).transpose(1, 2)))
        y = self.rnn(y)[0]
        y = self.group(y.flatten(0, 1)).view_as(y) * torch.sigmoid(self.gate(y))
        y = self.feed["down"](nn.functional.silu(self.feed["gate"](y)) * self.feed["up"](y))
        return self.out(y[:, -1])


class Translator(nn.Module):
    """An encoder, and a decoder that goes on from its state and attends to its steps."""

    def __init__(self, n_ids=12):
        super().__init__()
        self.source, self.target = nn.Embedding(n_ids, 4), nn.Embedding(n_ids, 4)
        self.encoder, self.decoder = nn.GRU(4, 5, batch_first=True), nn.GRU(4, 5, batch_first=True)
        self.score = nn.Linear(5, 5, bias=False)
        self.out = nn.Linear(10, n_ids)

    def forward(self, source, target):
        memory, h = self.encoder(self.source(source))
        y, _ = self.decoder(self.target(target), h)
        shares = torch.softmax(y @ self.score(memory).transpose(1, 2), -1)
        return self.out(torch.cat([shares @ memory, y], -1))
