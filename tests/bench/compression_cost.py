"""Logistic regression by gradient descent: what messages cost until the loss is near its least.

The full gradient, that is all samples in every step, half of them on each of two ranks, other halves from step to step; a
step of 1 / L; no error feedback, no weight decay. A step costs what the message of a rank costs under a model of the
network, by the bytes that it had. The least loss is that of Newton's method.
"""
import math
import pathlib

import numpy

from compression_runs import FASHION, read_idx, records_of, scratch, show, trained

RANKS = 2
TARGETS = (1e-2, 1e-3)  # parts of what lies between the loss at the start and the least
FIXED, PACKET, OF_PACKET = 64, 128, 186  # bytes: what any message costs; what a packet holds, and what it costs
COSTS = {
    "bits": lambda size: size,
    "affine": lambda size: FIXED + size,
    "packets": lambda size: FIXED + OF_PACKET * math.ceil(size / PACKET),
}
MODELS = {"bits": {"cost": "bits"}, "affine": {"cost": "affine", "fixed_cost": FIXED},
          "packets": {"cost": "packets", "packet": PACKET, "packet_cost": OF_PACKET, "fixed_cost": FIXED}}
VARIANTS = {"cat": "sparsify", "cat-signs": "sparsify_quantise"}
FIXED_COUNT = {
    "top-1": {"scheme": "topk", "count": 1},
    **{f"top-{100 * share:g}%": {"scheme": "topk", "share": share} for share in (0.03, 0.1, 0.2, 0.35, 0.5)},
}
SCHEMES = {
    "full": {},
    **FIXED_COUNT,
    **{f"{name}-{model}": {"scheme": "cat", "variant": variant, **MODELS[model]}
       for name, variant in VARIANTS.items() for model in MODELS},
}


class Problem:
    """Files of samples for two classes: principal components, whose variances are raised to the power 1 - `scaled`."""

    def __init__(self, folder, x, y, components, scaled):
        x = x - x.mean(0)
        values, vectors = numpy.linalg.eigh(x.T @ x / len(y))
        x = (x @ vectors[:, -components:] / values[-components:] ** (scaled / 2)).astype("<f4")
        self.files = {"x": str(folder / f"x-{components}.npy"), "y": str(folder / f"y-{components}.npy")}
        numpy.save(self.files["x"], x)
        numpy.save(self.files["y"], y.astype("u1"))
        self.x, self.y = x.astype(float), y
        self.smoothness = numpy.linalg.eigvalsh(self.x.T @ self.x / len(y))[-1] / 4

    def least(self):
        w = numpy.zeros(self.x.shape[1])
        for _ in range(60):
            p = 1 / (1 + numpy.exp(-self.x @ w))
            hessian = (self.x * (p * (1 - p))[:, None]).T @ self.x / len(p)
            w -= numpy.linalg.solve(hessian, self.x.T @ (p - self.y) / len(p))
        z = self.x @ w
        return float((numpy.logaddexp(0, z) - self.y * z).mean())


def a9a(folder, data, quick):
    rows = [line.split() for line in pathlib.Path(f"{data}/a9a/a9a").read_text(encoding="ascii").splitlines()]
    x, y = numpy.zeros((len(rows), 123)), numpy.array([float(row[0]) > 0 for row in rows])
    for at, (_, *pairs) in enumerate(rows):
        x[at, [int(pair.split(":")[0]) - 1 for pair in pairs]] = 1
    return Problem(folder, x, y, 20 if quick else 100, 0.5)


def even_odd(folder, _data, quick):
    """Is the number of the class even or odd?"""
    count, components = (1000, 20) if quick else (10000, 200)
    pictures = numpy.frombuffer(read_idx(f"{FASHION}/t10k-images-idx3-ubyte.gz")[1], numpy.uint8)
    labels = numpy.frombuffer(read_idx(f"{FASHION}/t10k-labels-idx1-ubyte.gz")[1], numpy.uint8)
    return Problem(folder, pictures.reshape(-1, 784)[:count] / 255, labels[:count] % 2, components, 1)


PROBLEMS = {"a9a": a9a, "even-odd": even_odd}
place = scratch
NEED_DATA = ("a9a",)
known = {}


def cases(args, _results):
    return [{"part": "cost", "problem": problem, "scheme": scheme, "quick": args.quick}
            for problem in args.problems for scheme in SCHEMES if args.wants(scheme)]


def measure(case, folder, args):
    name = case["problem"]
    if name not in known:
        problem = PROBLEMS[name](folder, args.data, case["quick"])
        known[name] = problem, problem.least()
    problem, least = known[name]
    recipe = {"name": "compression", "data": {"format": "npy", "train": problem.files},
              "model": {"layers": [{"layer": "linear", "outputs": 1, "bias": False}], "init": "xavier"},
              "train": {"steps": 30 if case["quick"] else 2000, "batch": len(problem.y), "threads": 1, "eval_every": 0,
                        "optimizer": {"name": "sgd", "lr": 1 / problem.smoothness}},
              "compress": {**SCHEMES[case["scheme"]], **({"feedback": "none"} if case["scheme"] != "full" else {})},
              "transport": "inproc", "checkpoint": {"every": 0}}
    def enough(records):
        return len(records) > 1 and records[-1].get("loss", math.inf) <= wanted(records[0]["loss"], least, TARGETS[-1])

    with trained(recipe, RANKS, enough) as run_dir:
        steps = [r for r in records_of(run_dir / "metrics.jsonl") if r["kind"] == "step"]
    dense = 32 * problem.x.shape[1]
    sizes = [r.get("bits_per_coordinate", 32) * problem.x.shape[1] / 8 for r in steps]
    losses = [r["loss"] for r in steps]
    return {"least": least, "start": losses[0], "size": sum(sizes) / len(sizes), "dense": dense / 8,
            "reached": [reached(losses, least, target, sizes) for target in TARGETS]}


def wanted(start, least, target):
    return least + target * (start - least)


def reached(losses, least, target, sizes):
    """Steps to so much of the loss, and what they cost; None: never. The loss of a step is that before it."""
    steps = next((i for i, loss in enumerate(losses) if loss <= wanted(losses[0], least, target)), None)
    if steps is None:
        return None
    return {"steps": steps, **{name: sum(map(cost, sizes[:steps])) for name, cost in COSTS.items()}}


def told(result):
    return ", ".join(f"{target:g}: {found['steps']} steps" if found else f"{target:g}: never"
                     for target, found in zip(TARGETS, result["reached"]))


def cost_of(runs, scheme, at, model):
    found = runs[scheme]["reached"][at] if scheme in runs else None
    return found[model] if found else math.inf


def tables(results, args):
    for problem in args.problems:
        runs = {r["scheme"]: r for r in results.of(part="cost", problem=problem, quick=args.quick)}
        rows = [["scheme", "bytes a message", *(f"{model}, {target:g}" for target in TARGETS for model in COSTS),
                 *(f"steps, {target:g}" for target in TARGETS)]]
        for scheme, run in runs.items():
            costs = [cost_of(runs, scheme, at, model) for at in range(len(TARGETS)) for model in COSTS]
            rows.append([scheme, f"{run['size']:.0f}", *("" if cost == math.inf else f"{cost / 1e3:.1f}" for cost in costs),
                         *(found["steps"] if found else "" for found in run["reached"])])
        if len(rows) > 1:
            show(f"{problem}: kilobytes that the messages of a rank cost, until so much of the loss is left", rows)
            print()
            verdict(runs)


def verdict(runs):
    for at, target in enumerate(TARGETS):
        for model in COSTS:
            fixed = min(FIXED_COUNT, key=lambda scheme: cost_of(runs, scheme, at, model))
            best, full = cost_of(runs, fixed, at, model), cost_of(runs, "full", at, model)
            for variant in VARIANTS:
                ours = cost_of(runs, f"{variant}-{model}", at, model)
                if ours < math.inf > best:
                    print(f"{target:g}, {model}: {variant} costs {ours / best - 1:+.0%} beside the best fixed number, "
                          f"{fixed}, and 1/{full / ours:.1f} of the full gradient")
                else:
                    print(f"{target:g}, {model}: {variant} or all fixed numbers never got there")
