#!/usr/bin/python3
"""Trains small models in PyTorch from weights and data that a formula gives.

Without arguments writes golden/NAME.txt for every case below; tests/unit/trajectory_test.c repeats
them. With --check compares what the installed PyTorch computes with those files. Everything is
computed in double precision, from what single precision holds: the files are the truth that single
precision should come near, and "float" in them says how near PyTorch's own comes. Sizes of the deep
ones are such that no relu's input is near 0: there the least rounding changes all that follows.
"""
import pathlib
import sys

import torch

import modules

GOLDEN = pathlib.Path(__file__).parent / "golden"
STEPS = 10
TOLERANCE = 1e-6  # between versions of PyTorch

SMALL = {"shape": "[12]", "classes": 5, "batch": 8}
SMALL_MLP = {**SMALL, "model.preset": "mlp", "model.hidden": "[8]", "model.activation": "tanh"}
SGD = {"optimizer.name": "sgd", "optimizer.lr": 0.1, "optimizer.momentum": 0.9}
DEEP = {**SGD, "optimizer.lr": 0.01}
GPT = {"shape": "[16]", "vocabulary": 17, "batch": 4, "model.preset": "gpt", "model.layers": 2,
       "model.width": 32, "model.heads": 4}

CASES = {
    "mlp-784-32-16-10": {"shape": "[784]", "classes": 10, "batch": 16, "model.preset": "mlp",
                         "model.hidden": "[32, 16]", **SGD},
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
    "lenet5": {"shape": "[1, 28, 28]", "classes": 10, "batch": 8, "model.preset": "lenet5", **DEEP},
    "lenet5-colour": {"shape": "[3, 32, 32]", "classes": 10, "batch": 4, "model.preset": "lenet5",
                      **DEEP},
    "resnet20": {"shape": "[3, 11, 11]", "classes": 10, "batch": 20, "model.preset": "resnet20",
                 **DEEP, "optimizer.lr": 0.001},
    "vgg11-small": {"shape": "[3, 32, 32]", "classes": 10, "batch": 9,
                    "model.preset": "vgg11-small", "model.width": 4, **DEEP},
    "gpt": {**GPT, **DEEP},
    "gpt-tanh": {**GPT, "model.gelu": "tanh", "shape": "[11]", "batch": 3, **DEEP},
    "gpt-adam": {**GPT, "optimizer.name": "adam", "optimizer.lr": 1e-3, "optimizer.eps": 1e-3},
    "fasttext": {"shape": "[100]", "filled": 7, "classes": 4, "batch": 8,
                 "model.preset": "fasttext", "model.width": 16, **SGD},
    "logistic-sparse": {"shape": "[123]", "filled": 14, "classes": 2, "batch": 8,
                        "model.preset": "logistic", **SGD},
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
    return whole_numbers(start, count, salt).double() / 9973 * 2 - 1


def whole_numbers(start, count, salt):
    i = torch.arange(start, start + count, dtype=torch.int64)
    return (i * 7919 + salt * 104729) % 9973


def salt_of(name):
    salt = 0
    for character in name.encode():
        salt = (salt * 31 + character) % 9973
    return salt


def counts(text):
    return [int(number) for number in text.strip("[]").split(",") if number.strip()]


def sizes(case):
    """What modules.make() wants for this case."""
    shape, preset = counts(case["shape"]), case["model.preset"]
    given = {key.split(".")[1]: value for key, value in case.items() if key.startswith("model.")}
    given["hidden"] = counts(given.get("hidden", "[]"))
    classes = case.get("classes")
    if preset in ("logistic", "svm") and classes == 2:
        classes = 1
    options = {"gpt": ("layers", "width", "heads", "gelu"), "vgg11-small": ("width",),
               "fasttext": ("width",), "mlp": ("hidden", "activation")}.get(preset, ())
    found = {key: given[key] for key in options if key in given}
    if preset == "gpt":
        return {**found, "vocabulary": case["vocabulary"], "context": shape[0]}
    if preset == "fasttext":
        return {**found, "vocabulary": shape[0], "classes": classes}
    if len(shape) == 1:
        return {**found, "inputs": shape[0], "classes": classes or 1}
    side = {} if preset == "resnet20" else {"side": shape[1]}
    return {**found, **side, "channels": shape[0], "classes": classes}


def make_model(case):
    """Weights are of the size that keeps signals as they are; of vectors those that multiply are
    near 1, the others near 0."""
    model = modules.make(case["model.preset"], **sizes(case))
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            scale = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
            middle = tensor.dim() == 1 and name.endswith(("weight", "running_var"))
            values = middle + numbers(0, tensor.numel(), salt_of(name)) * scale
            tensor.copy_(values.float().view(tensor.shape))
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


def make_rows(case, step):
    """Of a row, the k-th filled feature lies in the k-th of equal parts, and is 1 or 2."""
    batch, filled = case["batch"], case["filled"]
    part = counts(case["shape"])[0] // filled
    made = whole_numbers(step * batch * filled, batch * filled, 0).view(batch, filled)
    return torch.arange(filled) * part + made % part, 1 + made // part % 2


def make_batch(case, step, dtype):
    """The model's inputs, and the targets."""
    batch, shape, classes = case["batch"], counts(case["shape"]), case.get("classes")
    i = torch.arange(batch)
    y = (i * i + 7 * i + 3 * step) % classes if classes else None
    if "vocabulary" in case:
        text = whole_numbers(step * batch * shape[0], batch * shape[0] + 1, 0) % case["vocabulary"]
        return (text[:-1].view(batch, shape[0]),), text[1:]
    if "filled" in case:
        index, value = make_rows(case, step)
        if case["model.preset"] == "fasttext":
            words = [index[k].repeat_interleave(value[k]) for k in range(batch)]
            starts = torch.tensor([0] + [len(w) for w in words]).cumsum(0)[:-1]
            return (torch.cat(words), starts), y
        return (torch.zeros(batch, shape[0], dtype=dtype).scatter(1, index, value.to(dtype)),), y
    count = batch * torch.Size(shape).numel()
    x = numbers(step * count, count, 0).float().to(dtype).view(batch, *shape)
    return (x,), y if classes else numbers(step * batch, batch, 99).float().to(dtype)


def make_loss(case, z, y):
    f = torch.nn.functional
    classes, preset = case.get("classes"), case["model.preset"]
    if "vocabulary" in case:
        return f.cross_entropy(z.flatten(0, 1), y)
    if classes == 0:
        return f.mse_loss(z[:, 0], y)
    if preset == "logistic":
        return f.binary_cross_entropy_with_logits(z[:, 0], y.to(z.dtype))
    if preset == "svm" and z.shape[1] == 1:
        return (1 - (2 * y - 1) * z[:, 0]).clamp(min=0).mean()
    if preset == "svm":
        rivals = z + 1 - f.one_hot(y, z.shape[1])
        return (rivals.max(dim=1).values - z.gather(1, y[:, None])[:, 0]).mean()
    return f.cross_entropy(z, y)


def samples(what, tensor, parts):
    flat = tensor.flatten()
    where = sorted({k * (len(flat) - 1) // parts for k in range(parts + 1)})
    return [(f"{what} {i}", flat[i].item()) for i in where]


def run(case, dtype):
    """Lines of "what value": losses and gradient norms of all steps, the norm of each gradient of
    the first step; then of the trained model outputs for the batch after, when it evaluates, and
    samples of weights and statistics."""
    model = make_model(case).to(dtype)
    optimizer = make_optimizer(case, model)
    lines = []
    for step in range(STEPS):
        x, y = make_batch(case, step, dtype)
        optimizer.zero_grad()
        loss = make_loss(case, model(*x), y)
        loss.backward()
        if step == 0:
            lines += [(f"gradient {name}", tensor.grad.norm().item())
                      for name, tensor in model.named_parameters()]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case.get("clip", float("inf")))
        optimizer.step()
        lines += [(f"loss {step}", loss.item()), (f"norm {step}", norm.item())]
    with torch.no_grad():
        lines += samples("output", model.eval()(*make_batch(case, STEPS, dtype)[0]), 7)
    state = model.state_dict()
    parts = 7 if len(state) < 16 else 1
    for name, tensor in state.items():
        if tensor.is_floating_point():
            lines += samples(f"weight {name}", tensor, parts)
    return lines


def worst(these, those):
    if [what for what, _ in these] != [what for what, _ in those]:
        sys.exit("not the same figures")
    return max(abs(a - b) for (_, a), (_, b) in zip(these, those))


def write(name, case):
    truth = run(case, torch.float64)
    with open(GOLDEN / f"{name}.txt", "w", encoding="ascii") as out:
        print(f"# PyTorch {torch.__version__}, by tests/torch/trajectory.py", file=out)
        for key, value in case.items():
            print(f"set {key} {value}", file=out)
        print(f"float {worst(truth, run(case, torch.float32)):.1e}", file=out)
        for what, value in truth:
            print(f"{what} {value:.9g}", file=out)


def check(name, case):
    lines = (GOLDEN / f"{name}.txt").read_text(encoding="ascii").splitlines()
    golden = [line.rsplit(" ", 1) for line in lines if not line.startswith(("#", "set ", "float "))]
    distance = worst([(what, float(value)) for what, value in golden], run(case, torch.float64))
    print(f"{name}: within {distance:.1e}")
    return distance <= TOLERANCE


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] == ["--check"]:
        sys.exit(not all([check(*item) for item in CASES.items()]))
    if sys.argv[1:]:
        sys.exit("usage: trajectory.py [--check]")
    for item in CASES.items():
        write(*item)
