#!/usr/bin/python3
"""Trains small models in PyTorch from weights and data that a formula gives.

Without arguments writes golden/NAME.txt for every case below; tests/unit/trajectory_test.c repeats
them. With --check compares what the installed PyTorch computes with those files.
"""
import collections
import pathlib
import sys

import torch

GOLDEN = pathlib.Path(__file__).parent / "golden"
STEPS = 10
TOLERANCE = 5e-6  # between versions of PyTorch, which may order sums otherwise

MLP = {"model.preset": "mlp", "inputs": 784, "classes": 10, "batch": 16}
SMALL = {"inputs": 12, "classes": 5, "batch": 8}
SMALL_MLP = {**SMALL, "model.preset": "mlp", "model.hidden": "[8]", "model.activation": "tanh"}
SGD = {"optimizer.name": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.9}

CASES = {
    "mlp-784-32-16-10": {**MLP, "model.hidden": "[32, 16]", **SGD},
    "sigmoid": {**SMALL_MLP, "model.activation": "sigmoid", **SGD},
    "softmax": {**SMALL, "model.preset": "softmax", **SGD},
    "logistic": {**SMALL, "model.preset": "logistic", "classes": 2, **SGD},
    "svm": {**SMALL, "model.preset": "svm", **SGD},
    "svm-two-classes": {**SMALL, "model.preset": "svm", "classes": 2, **SGD},
    "regression": {**SMALL_MLP, "classes": 0, **SGD},
    "sgd": {**SMALL_MLP, "optimizer.name": "sgd", "optimizer.lr": 0.3},
    "nesterov": {**SMALL_MLP, **SGD, "optimizer.nesterov": "yes"},
    "weight-decay": {**SMALL_MLP, **SGD, "optimizer.weight_decay": 0.05},
    "clip": {**SMALL_MLP, **SGD, "clip": 0.25},
    "adam": {**SMALL_MLP, "optimizer.name": "adam", "optimizer.lr": 0.01},
    "adam-weight-decay": {**SMALL_MLP, "optimizer.name": "adam", "optimizer.lr": 0.01,
                          "optimizer.weight_decay": 0.1, "optimizer.eps": 1e-6},
    "adamw": {**SMALL_MLP, "optimizer.name": "adamw", "optimizer.lr": 0.01,
              "optimizer.weight_decay": 0.1, "optimizer.beta1": 0.8, "optimizer.beta2": 0.99},
    "dampening": {**SMALL_MLP, **SGD, "optimizer.dampening": 0.3},
    "decay-matrices": {**SMALL_MLP, "optimizer.name": "adamw", "optimizer.lr": 0.01,
                       "optimizer.weight_decay": 0.5, "optimizer.decay": "matrices"},
    "adagrad": {**SMALL_MLP, "optimizer.name": "adagrad", "optimizer.lr": 0.1},
    "adagrad-options": {**SMALL_MLP, "optimizer.name": "adagrad", "optimizer.lr": 0.1,
                        "optimizer.lr_decay": 0.1, "optimizer.weight_decay": 0.05,
                        "optimizer.initial_accumulator": 0.01, "optimizer.eps": 1e-3,
                        "clip": 0.25},
    "lamb": {**SMALL_MLP, "optimizer.name": "lamb", "optimizer.lr": 0.02, "clip": 0.25},
    "lamb-decay": {**SMALL_MLP, "optimizer.name": "lamb", "optimizer.lr": 0.02,
                   "optimizer.weight_decay": 0.3, "optimizer.decay": "matrices"},
}


class Lamb(torch.optim.Optimizer):
    """Algorithm 2 of You et al. (ICLR 2020), with phi the identity: PyTorch has none."""

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for x in group["params"]:
                state, (beta1, beta2) = self.state[x], group["betas"]
                if not state:
                    state.update(t=0, m=torch.zeros_like(x), v=torch.zeros_like(x))
                state["t"] += 1
                state["m"] = beta1 * state["m"] + (1 - beta1) * x.grad
                state["v"] = beta2 * state["v"] + (1 - beta2) * x.grad ** 2
                m = state["m"] / (1 - beta1 ** state["t"])
                v = state["v"] / (1 - beta2 ** state["t"])
                update = m / (v.sqrt() + group["eps"]) + group["weight_decay"] * x
                x -= group["lr"] * x.norm() / update.norm() * update


def numbers(start, count, salt):
    """Numbers in [-1, 1) that only depend on their position and the salt."""
    i = torch.arange(start, start + count, dtype=torch.int64)
    return ((i * 7919 + salt * 104729) % 9973).double() / 9973 * 2 - 1


def make_model(case):
    widths = [int(w) for w in case.get("model.hidden", "[]").strip("[]").split(",") if w]
    one_output = case["classes"] == 2 and case["model.preset"] in ("logistic", "svm")
    widths = [case["inputs"], *widths, 1 if one_output else case["classes"] or 1]
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[
        case.get("model.activation", "relu")]
    layers = collections.OrderedDict()
    for i in range(1, len(widths)):
        if i > 1:
            layers[f"activation{i - 1}"] = activation()
        layers[f"fc{i}"] = torch.nn.Linear(widths[i - 1], widths[i])
    model = torch.nn.Sequential(layers)
    with torch.no_grad():
        for salt, tensor in enumerate(model.parameters(), start=1):
            scale = tensor.shape[1] ** -0.5 if tensor.dim() == 2 else 0.1
            tensor.copy_((numbers(0, tensor.numel(), salt) * scale).float().view(tensor.shape))
    return model


def make_optimizer(case, model):
    given = {key.split(".")[1]: value for key, value in case.items()
             if key.startswith("optimizer.")}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
            "adagrad": torch.optim.Adagrad, "lamb": Lamb}[given.pop("name")]
    if "beta1" in given:
        given["betas"] = (given.pop("beta1"), given.pop("beta2"))
    if "nesterov" in given:
        given["nesterov"] = True
    if "initial_accumulator" in given:
        given["initial_accumulator_value"] = given.pop("initial_accumulator")
    groups = [{"params": list(model.parameters())}]
    if given.pop("decay", "all") == "matrices":
        groups = [{"params": [p for p in model.parameters() if p.dim() >= 2]},
                  {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0}]
    return kind(groups, **given)


def make_batch(case, step):
    batch, inputs, classes = case["batch"], case["inputs"], case["classes"]
    x = numbers(step * batch * inputs, batch * inputs, 0).float().view(batch, inputs)
    i = torch.arange(batch)
    if classes:
        return x, (i * i + 7 * i + 3 * step) % classes
    return x, numbers(step * batch, batch, 99).float()


def make_loss(case, z, y):
    f = torch.nn.functional
    if case["classes"] == 0:
        return f.mse_loss(z[:, 0], y)
    if case["model.preset"] == "logistic":
        return f.binary_cross_entropy_with_logits(z[:, 0], y.float())
    if case["model.preset"] == "svm" and z.shape[1] == 1:
        return (1 - (2 * y - 1) * z[:, 0]).clamp(min=0).mean()
    if case["model.preset"] == "svm":
        rivals = z + 1 - f.one_hot(y, z.shape[1])
        return (rivals.max(dim=1).values - z.gather(1, y[:, None])[:, 0]).mean()
    return f.cross_entropy(z, y)


def run(case):
    """Lines of "what value": losses and gradient norms of all steps, samples of the last weights."""
    model = make_model(case)
    optimizer = make_optimizer(case, model)
    lines = []
    for step in range(STEPS):
        x, y = make_batch(case, step)
        optimizer.zero_grad()
        loss = make_loss(case, model(x), y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case.get("clip", float("inf")))
        optimizer.step()
        lines += [(f"loss {step}", loss.item()), (f"norm {step}", norm.item())]
    for name, tensor in model.state_dict().items():
        flat = tensor.flatten()
        for i in sorted({k * (len(flat) - 1) // 7 for k in range(8)}):
            lines.append((f"weight {name} {i}", flat[i].item()))
    return lines


def write(name, case):
    with open(GOLDEN / f"{name}.txt", "w", encoding="ascii") as out:
        print(f"# PyTorch {torch.__version__}, by tests/torch/trajectory.py", file=out)
        for key, value in case.items():
            print(f"set {key} {value}", file=out)
        for what, value in run(case):
            print(f"{what} {value:.9g}", file=out)


def check(name, case):
    lines = (GOLDEN / f"{name}.txt").read_text(encoding="ascii").splitlines()
    golden = [line.rsplit(" ", 1) for line in lines if not line.startswith(("#", "set "))]
    now = run(case)
    if [what for what, _ in golden] != [what for what, _ in now]:
        sys.exit(f"{name}: not the same figures")
    worst = max(abs(float(old) - new) for (_, old), (_, new) in zip(golden, now))
    print(f"{name}: within {worst:.1e}")
    return worst <= TOLERANCE


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--check"]:
        sys.exit(not all([check(*item) for item in CASES.items()]))
    if sys.argv[1:]:
        sys.exit("usage: trajectory.py [--check]")
    for item in CASES.items():
        write(*item)
