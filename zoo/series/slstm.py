"""The cell of an sLSTM (arXiv 2405.04517) over all steps of a batch, as one function of autograd. PyTorch would add
the gradient of the recurrent weights once for each step; backward() keeps what each step gives, and multiplies
once.

The stabiliser m has no part in the gradient: c and n both have the factor exp(-m), and the output is o c / n.

    python3 zoo/series/slstm.py     compare outputs and gradients with those of the plain loop
"""

import torch
from torch.nn import functional


class Cell(torch.autograd.Function):
    """gates [T, N, B, 4 d]: what the inputs give to the input gate, the forget gate, the cell and the output gate of
    N heads, with the biases. recurrent [N, d, 4 d]. Returns the outputs [T, N, B, d]."""

    @staticmethod
    def forward(ctx, gates, recurrent):
        T, N, B, d = *gates.shape[:3], gates.shape[3] // 4
        h, c, n = (gates.new_zeros(T + 1, N, B, d) for _ in range(3))
        acts, slopes = torch.empty_like(gates), gates.new_empty(T, N, B, d)
        m = gates.new_full((N, B, d), -torch.inf)
        for t in range(T):
            raw = torch.baddbmm(gates[t], h[t], recurrent)
            raw_i, raw_f, raw_z, raw_o = raw.split(d, 2)
            i, f, z, o = acts[t].split(d, 2)
            torch.sigmoid(-raw_f, out=slopes[t])
            log_f = functional.logsigmoid(raw_f).add_(m)
            m = torch.maximum(log_f, raw_i)
            torch.exp(raw_i - m, out=i)
            torch.exp(log_f.sub_(m), out=f)
            torch.tanh(raw_z, out=z)
            torch.sigmoid(raw_o, out=o)
            torch.mul(f, c[t], out=c[t + 1]).addcmul_(i, z)
            torch.mul(f, n[t], out=n[t + 1]).add_(i)
            torch.div(c[t + 1], n[t + 1], out=h[t + 1]).mul_(o)
        ctx.save_for_backward(h, c, n, acts, slopes, recurrent)
        return h[1:]

    @staticmethod
    def backward(ctx, dh_all):
        h, c, n, acts, slopes, recurrent = ctx.saved_tensors
        T, N, B, d = *acts.shape[:3], acts.shape[3] // 4
        draw, back = torch.empty_like(acts), acts.new_zeros(N, B, d)
        dc, dn = acts.new_zeros(N, B, d), acts.new_zeros(N, B, d)
        across = recurrent.transpose(1, 2).contiguous()
        for t in reversed(range(T)):
            i, f, z, o = acts[t].split(d, 2)
            di, df, dz, do = draw[t].split(d, 2)
            dh = back.add_(dh_all[t]).mul_(o)
            quotient = c[t + 1] / n[t + 1]
            torch.mul(dh, quotient, out=do).mul_(1 - o)
            dh.div_(n[t + 1])
            dc.add_(dh)
            dn.sub_(dh.mul_(quotient))
            torch.addcmul(dn, dc, z, out=di).mul_(i)
            torch.mul(dc, i, out=dz).mul_(1 - z * z)
            dc.mul_(f)
            dn.mul_(f)
            torch.mul(dc, c[t], out=df).addcmul_(dn, n[t]).mul_(slopes[t])
            back = torch.bmm(draw[t], across)
        flat = draw.transpose(0, 1).reshape(N, T * B, 4 * d)
        before = h[:-1].transpose(0, 1).reshape(N, T * B, d).transpose(1, 2)
        return draw, torch.bmm(before, flat)


def plain(gates, recurrent):
    """The same, step by step, for autograd to follow."""
    h = c = n = gates.new_zeros(*gates.shape[1:3], gates.shape[3] // 4)
    m, rows = None, []
    for each in gates:
        i, f, z, o = (each + torch.bmm(h, recurrent)).chunk(4, 2)
        f = functional.logsigmoid(f) + (0 if m is None else m)
        m = i if m is None else torch.maximum(f, i)
        i, f = torch.exp(i - m), torch.exp(f - m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = torch.sigmoid(o) * c / n
        rows.append(h)
    return torch.stack(rows)


def main():
    torch.manual_seed(1)
    T, N, B, d = 9, 2, 3, 5
    leaves = [torch.randn(T, N, B, 4 * d, requires_grad=True), torch.randn(N, d, 4 * d, requires_grad=True)]
    wanted, both = torch.randn(T, N, B, d), [Cell.apply(*leaves), plain(*leaves)]
    ours, theirs = ([y, *torch.autograd.grad((y * wanted).sum(), leaves)] for y in both)
    for name, a, b in zip(("outputs", "gates", "recurrent"), ours, theirs):
        far = ((a - b).abs().max() / b.abs().max()).item()
        print(f"{name}: largest difference {far:.1e} of the largest value")
        assert far < 1e-5, name


if __name__ == "__main__":
    main()
