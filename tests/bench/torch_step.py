"""Steps of one row of tests/bench/step in PyTorch, as a user would write them.

usage: torch_step.py ROW THREADS [compile] [profile]
       torch_step.py floors THREADS
Prints a line when it is ready, then for every line "SECONDS STEPS" on stdin one with the seconds that
each step took, from the same weights, until there is enough of either; and at the end one about memory
and work. `floors`: sgemm's and memcpy's rates instead.
"""
import copy
import json
import os
import pathlib
import sys
import time

import torch
from torch.nn import functional as f

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "torch")]

import modules  # noqa: E402
import rows  # noqa: E402


def memory(key):
    """KiB of VmRSS or VmHWM."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))


def forget_peak():
    with open("/proc/self/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")


def batches(row):
    """(inputs of the model, targets) of each batch; a tuple of inputs where there are several."""
    batch, count, sample = row["batch"], rows.BATCHES, row["sample"]
    if row["preset"] == "gpt":
        text = torch.randint(0, row["sizes"]["vocabulary"], (count * batch * sample[0] + 1,))
        x, y = (t.view(count, batch, sample[0]) for t in (text[:-1], text[1:]))
        return [(x[i], y[i].flatten()) for i in range(count)]
    if "filled" not in row:
        y = torch.randint(0, rows.CLASSES, (count, batch))
        return list(zip(torch.randn(count, batch, *sample), y))
    index = torch.rand(count, batch, sample[0]).topk(row["filled"]).indices.sort().values
    y = torch.randint(0, 2, (count, batch)).float()
    return list(zip(index, y))


class Bag(torch.nn.Module):
    """A linear layer over few of many features, as nn.EmbeddingBag has it."""

    def __init__(self, inputs):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(inputs, 1, mode="sum")
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, words, starts, values):
        return self.bag(words, starts, per_sample_weights=values) + self.bias


class Coo(torch.nn.Linear):
    def forward(self, x):
        return torch.sparse.mm(x, self.weight.t()) + self.bias


def sparse_row(row, index, kind):
    """A batch whose sample i has ones at index[i], as the model of that kind wants it."""
    batch, filled = index.shape
    values = torch.ones(batch * filled)
    if kind == "bag":
        return (index.flatten(), torch.arange(0, batch * filled, filled), values)
    place = torch.stack([torch.arange(batch).repeat_interleave(filled), index.flatten()])
    x = torch.sparse_coo_tensor(place, values, (batch, row["sample"][0])).coalesce()
    return (x if kind == "coo" else x.to_dense(),)


def prepare(row, kind):
    made = batches(row)
    if "filled" in row:
        inputs = row["sizes"]["inputs"]
        model = {"bag": Bag(inputs), "coo": Coo(inputs, 1),
                 "dense": torch.nn.Linear(inputs, 1)}[kind]
        return model, [(sparse_row(row, x, kind), y) for x, y in made]
    return modules.make(row["preset"], **row["sizes"]), [((x,), y) for x, y in made]


def loss_of(row, outputs, y):
    if "filled" in row:
        return f.binary_cross_entropy_with_logits(outputs[:, 0], y)
    return f.cross_entropy(outputs.reshape(len(y), -1), y)


def work(row, model, batch):
    """Multiplications and additions of a step, and bytes that it has to move through memory.

    A linear layer or convolution takes as many of both for its outputs, for its inputs' gradient
    (the first one has none) and for its weights'. Causal attention looks at half the pairs. Bytes:
    each weight is read, its gradient and momentum read and written, itself written, and every
    output of a layer is written and read once.
    """
    flops, bytes_moved, first = 0, 0, True

    def count(layer, inputs, output):
        nonlocal flops, bytes_moved, first
        bytes_moved += 8 * output.numel()
        weight = getattr(layer, "weight", None)
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
            once = 2 * output.numel() * weight[0].numel()
            flops += once * (2 if first and row["preset"] != "gpt" else 3)
            first = False
        if isinstance(layer, modules.Attention):
            flops += 3 * 2 * output.shape[1] * output.numel()

    hooks = [layer.register_forward_hook(count) for layer in model.modules()
             if not list(layer.children()) or isinstance(layer, modules.Attention)]
    inputs, y = batch
    outputs = model(*inputs)
    for hook in hooks:
        hook.remove()
    if row["preset"] == "gpt":  # the tied head
        flops += 3 * 2 * outputs.numel() * row["sizes"]["width"]
    if "filled" in row:
        flops = 2 * 2 * row["filled"] * len(y)
    parameters = sum(p.numel() for p in model.parameters())
    return {"flops": flops, "bytes": bytes_moved + 6 * 4 * parameters, "parameters": parameters}


def trainer(row, model, data):
    """A function that makes a step; it begins with the weights as they are."""
    optimizer = torch.optim.SGD(model.parameters(), **rows.OPTIMIZER)
    at = 0

    def step():
        nonlocal at
        inputs, y = data[at % len(data)]
        at += 1
        optimizer.zero_grad()
        loss = loss_of(row, model(*inputs), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def timed(step, seconds, most):
    """At least 5 steps, most at most."""
    took = []
    while len(took) < most and (len(took) < 5 or sum(took) < seconds):
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
    return took


def profile(step):
    timed(step, 0, 5)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        timed(step, 60, 20)
    print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=18,
                                    max_name_column_width=44))


def serve(row, kind, words):
    torch.manual_seed(1)
    timed(trainer({"preset": "mlp"}, torch.nn.Linear(2, 2),
                  [((torch.zeros(1, 2),), torch.zeros(1, dtype=torch.long))]), 0, 5)
    base = memory("VmRSS")
    forget_peak()
    model, data = prepare(row, kind)
    done = work(row, model, data[0])
    if "profile" in words:
        profile(trainer(row, model, data))
        return
    start = copy.deepcopy(model.state_dict())
    compiled = torch.compile(model) if "compile" in words else model
    timed(trainer(row, compiled, data), 0, 5)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        seconds, steps = line.split()
        model.load_state_dict(start)
        print(json.dumps(timed(trainer(row, compiled, data), float(seconds), int(steps))), flush=True)
    peak = memory("VmHWM")
    print(json.dumps({**done, "peak_kib": peak, "over_base_kib": peak - base}), flush=True)


def rate(amount, run):
    """Of `amount` per run, the best of some: what the machine can, whoever else uses it."""
    run()
    return amount / min(timed(run, 1, 15))


def floors():
    """Sums of products, and bytes read or written, per second."""
    a, b, c = (torch.rand(1536, 1536) for _ in range(3))
    x, y = torch.rand(32 << 20), torch.rand(32 << 20)
    print(json.dumps({"sgemm": rate(2 * 1536**3, lambda: torch.mm(a, b, out=c)),
                      "memcpy": rate(2 * 4 * x.numel(), lambda: x.copy_(y))}))


def main():
    name, threads, *words = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if name == "floors":
        floors()
        return
    name, _, kind = name.partition(":")
    serve(rows.ROWS[name], kind or "dense", words)


if __name__ == "__main__":
    assert os.environ.get("OPENBLAS_NUM_THREADS"), "PyTorch does not set it"
    main()
