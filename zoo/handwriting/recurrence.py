"""The first LSTM of handwriting with its window over the text, for all points of a batch of lines, as one function of
autograd. PyTorch would add the gradient of the weights once for each point; backward() keeps what each point gives and
multiplies once. A step of training takes half the time.

    python3 zoo/handwriting/recurrence.py     compare outputs and gradients with those of the plain loop
"""

import torch


def window_of(raw, kappa, positions):
    """Of raw [n, 3 K]: the (a, b, k) of each Gaussian, where the Gaussians stand now, and how far they are from each
    character: [n, 3 K], [n, K], [n, K, U]."""
    shape = raw.clamp(-30, 30).exp()
    kappa = kappa + shape.chunk(3, 1)[2]
    return shape, kappa, kappa[:, :, None] - positions


def heights_of(shape, far):
    """Of each Gaussian at each character: a exp(-b far^2), [n, K, U]."""
    a, b, _ = shape.chunk(3, 1)
    return a[..., None] * (-b[..., None] * far.square()).exp()


class Recurrence(torch.autograd.Function):
    """gates [T, n, 4 H]: what the points give to the LSTM, with its biases. weights [L + H, 4 H]: of what was read and
    of the LSTM's own output. window [3 K, H], bias [3 K]. rows [n, U, L]: the characters, one hot. kind: the type that
    matrices are multiplied in. Returns [T, n, L + H]: what each point reads, and the output of the LSTM."""

    @staticmethod
    def forward(ctx, gates, weights, window, bias, rows, kind):
        T, n, H, L, K = *gates.shape[:2], gates.shape[2] // 4, rows.shape[2], window.shape[0] // 3
        w, v, positions = weights.to(kind), window.T.contiguous().to(kind), torch.arange(1.0, rows.shape[1] + 1)
        x, cells, kappas = torch.zeros(T + 1, n, L + H), torch.zeros(T + 1, n, H), torch.zeros(T + 1, n, K)
        acts, shapes = torch.empty(T, n, 4 * H), torch.empty(T, n, 3 * K)
        for t in range(T):
            z = torch.mm(x[t].to(kind), w).float().add_(gates[t])
            i, f, g, o = torch.sigmoid(z, out=acts[t]).split(H, 1)
            torch.tanh(z[:, 2 * H:3 * H], out=g)
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            h = torch.mul(cells[t + 1].tanh(), o, out=x[t + 1, :, L:])
            raw = torch.mm(h.to(kind), v).float().add_(bias)
            shapes[t], kappas[t + 1], far = window_of(raw, kappas[t], positions)
            x[t + 1, :, :L] = torch.bmm(heights_of(shapes[t], far).sum(1, keepdim=True), rows)[:, 0]
        ctx.save_for_backward(x, acts, cells, shapes, kappas, weights, window, rows)
        ctx.kind = kind
        return x[1:]

    @staticmethod
    def backward(ctx, dx):
        x, acts, cells, shapes, kappas, weights, window, rows = ctx.saved_tensors
        T, n, H, L, K = *acts.shape[:2], acts.shape[2] // 4, rows.shape[2], window.shape[0] // 3
        w, v, positions = weights.T.contiguous().to(ctx.kind), window.to(ctx.kind), torch.arange(1.0, rows.shape[1] + 1)
        columns = rows.transpose(1, 2).contiguous()
        dz, draw = torch.empty(T, n, 4 * H), torch.empty(T, n, 3 * K)
        back, dc, dkappa = torch.zeros(n, L + H), torch.zeros(n, H), torch.zeros(n, K)
        for t in reversed(range(T)):
            back += dx[t]
            (i, f, g, o), (_, b, step) = acts[t].split(H, 1), shapes[t].chunk(3, 1)
            # The window: each number of it is the exponential of a raw one, whose gradient has it as a factor.
            far = kappas[t + 1][:, :, None] - positions
            e = heights_of(shapes[t], far).mul_(torch.bmm(back[:, None, :L], columns))
            da = e.sum(2)
            slant = e.mul_(far).sum(2).mul_(b)
            dkappa = dkappa - 2 * slant
            torch.cat([da, -b * e.mul_(far).sum(2), dkappa * step], 1, out=draw[t])
            # The LSTM.
            dh = torch.mm(draw[t].to(ctx.kind), v).float().add_(back[:, L:])
            tanh = cells[t + 1].tanh()
            dc = dc.addcmul(dh * o, 1 - tanh.square())
            slope = (1 - acts[t]).mul_(acts[t])
            slope[:, 2 * H:3 * H] = 1 - g.square()
            torch.cat([dc * g, dc * cells[t], dc * i, dh * tanh], 1, out=dz[t])
            dz[t] *= slope
            dc = dc * f
            back = torch.mm(dz[t].to(ctx.kind), w).float()
        given, back = x[:-1].reshape(T * n, -1).to(ctx.kind), dz.view(T * n, -1).to(ctx.kind)
        draw = draw.view(T * n, -1)
        return (dz, torch.mm(given.T, back).float(), torch.mm(draw.T, x[1:, :, L:].reshape(T * n, H)), draw.sum(0),
                None, None)


def main():
    torch.manual_seed(1)
    T, n, H, L, K, U = 11, 3, 6, 5, 2, 7
    leaves = [torch.randn(*shape, dtype=torch.float32).mul_(0.5).requires_grad_() for shape in
              ((T, n, 4 * H), (L + H, 4 * H), (3 * K, H), (3 * K,))]
    gates, weights, window, bias = leaves
    rows, wanted = torch.nn.functional.one_hot(torch.randint(L, (n, U)), L).float(), torch.randn(T, n, L + H)
    x, c, kappa, outputs = torch.zeros(n, L + H), torch.zeros(n, H), torch.zeros(n, K), []
    for t in range(T):
        i, f, g, o = (gates[t] + x @ weights).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        shape, kappa, far = window_of(h @ window.T + bias, kappa, torch.arange(1.0, U + 1))
        x = torch.cat([(heights_of(shape, far).sum(1)[:, None] @ rows)[:, 0], h], 1)
        outputs.append(x)
    plain = torch.stack(outputs)
    ours = Recurrence.apply(gates, weights, window, bias, rows, torch.float32)
    pairs = [(ours, plain)] + list(zip(torch.autograd.grad((ours * wanted).sum(), leaves),
                                       torch.autograd.grad((plain * wanted).sum(), leaves)))
    for name, (a, b) in zip(("outputs", "gates", "weights", "window", "bias"), pairs):
        far = ((a - b).abs().max() / b.abs().max()).item()
        print(f"{name}: largest difference {far:.1e} of the largest value")
        assert far < 1e-5, name


if __name__ == "__main__":
    main()
