"""How well a model learns, and in how few bits: schemes of compression beside float32, some seeds of each."""
import pathlib
import statistics

from compression_runs import fashion_files, first_pictures, known, records_of, scratch, show, trained

RANKS = 8
LOSSLESS = 0.003  # so much less accuracy still counts as none lost

# Where the name has -l2 levels stand for the Euclidean norm of a message, as in the papers, and for its largest size elsewhere.
L2 = {"norm": "2"}
# Of dq_sgd, for sizes and for norms: chosen for each task, as the papers do, by runs with the first seed. Gradients are
# divided by the number of ranks.
KAPPAS = {"mlp": (80, 160), "lenet5": (130, 160), "resnet20": (130, 160), "agnews": (130, 160)}
SCHEMES = {
    "none": {},
    "sign": {"scheme": "sign"},
    "terngrad": {"scheme": "terngrad"},
    **{f"qsgd-{bits}-l2": {"scheme": "qsgd", "bits": bits, **L2} for bits in (4, 6, 8)},
    "adaptive_rms-l2": {"scheme": "adaptive_rms", **L2},
    "adaqs-l2": {"scheme": "adaqs", **L2},
    "dq_sgd-l2": {"scheme": "dq_sgd", "mode": "fixed", **L2},
    **{f"qsgd-{bits}": {"scheme": "qsgd", "bits": bits} for bits in (2, 3, 4, 6, 8)},
    "adaptive_rms": {"scheme": "adaptive_rms"},
    "adaqs": {"scheme": "adaqs"},
    "dq_sgd": {"scheme": "dq_sgd", "mode": "fixed"},
    "topk": {"scheme": "topk", "share": 0.01},
    "topk-2.5%": {"scheme": "topk", "share": 0.025},
    "topk-corrected": {"scheme": "topk", "share": 0.01, "feedback": "momentum-corrected"},
    "cat": {"scheme": "cat"},
    "dgc": {"scheme": "dgc", "feedback": "momentum-corrected"},
    "powersgd": {"scheme": "powersgd"},
}


def images(preset, folder, quick, lr):
    count = 1000 if quick else 4000
    return {"data": {"format": "idx", "standardise": True, "train": first_pictures(folder, count),
                     "test": fashion_files("t10k")},
            "model": preset, "train": {"steps": 30 if quick else 900, "batch": 256}, "lr": lr}


def mlp(folder, _data, quick):
    return images({"preset": "mlp", "hidden": [128, 64]}, folder, quick, 0.05)


def lenet5(folder, _data, quick):
    return images({"preset": "lenet5"}, folder, quick, 0.05)


def resnet20(_folder, data, quick):
    """Half as wide, and few steps: it takes long."""
    return {"data": {"format": "cifar10", "standardise": True, "train": [f"{data}/cifar10/jpeg_data_batch_1.bin"],
                     "test": [f"{data}/cifar10/jpeg_test_batch.bin"], "augment": {"crop": 4, "flip": True}},
            "model": {"preset": "resnet20", "width": 8}, "train": {"steps": 10 if quick else 468, "batch": 128},
            "lr": 0.1}


def agnews(folder, data, quick):
    """The rows that there are, 2,000 of them to test with."""
    rows = [line for name in ("test", "train_first581")
            for line in pathlib.Path(f"{data}/agnews/{name}.csv").read_text(encoding="utf-8").splitlines()]
    files = {"train": folder / "train.csv", "test": folder / "test.csv"}
    files["train"].write_text("\n".join(rows[2000:]) + "\n", encoding="utf-8")
    files["test"].write_text("\n".join(rows[:2000]) + "\n", encoding="utf-8")
    return {"data": {"format": "csv", **{part: str(path) for part, path in files.items()}, "header": "no", "label": 1,
                     "text": [2, 3], "vocabulary": 10000},
            "model": {"preset": "fasttext", "width": 16}, "train": {"steps": 20 if quick else 900, "batch": 128}, "lr": 1}


place = scratch
NEED_DATA = ("resnet20", "agnews")
TASKS = {"mlp": mlp, "lenet5": lenet5, "resnet20": resnet20, "agnews": agnews}


def compression(scheme, task):
    about = SCHEMES[scheme]
    if about.get("scheme") == "dq_sgd":
        return {**about, "kappa": KAPPAS[task]["norm" in about]}
    return about


def recipe(case, folder, args):
    settings = TASKS[case["task"]](folder, args.data, case["quick"])
    compress = compression(case["scheme"], case["task"])
    momentum = 0 if "feedback" in compress else 0.9  # the feedback has it then
    settings["train"] |= {"threads": 1, "optimizer": {"name": "sgd", "lr": settings.pop("lr"), "momentum": momentum},
                          "eval_every": 0, "schedule": {"name": "cosine", "warmup": 50}}
    return {"name": "compression", "seed": case["seed"], **settings, "compress": compress, "transport": "inproc", "checkpoint": {"every": 0}}


def cases(args, _results):
    schemes = known("compress")
    return [{"part": "quality", "task": task, "scheme": scheme, "seed": seed, "quick": args.quick}
            for seed in range(1, args.seeds + 1) for task in args.tasks for scheme in SCHEMES
            if SCHEMES[scheme].get("scheme", "none") in schemes and args.wants(scheme)]


def measure(case, folder, args):
    with trained(recipe(case, folder, args), RANKS) as run_dir:
        if not run_dir:
            return {"accuracy": None}
        records = records_of(run_dir / "metrics.jsonl")
    steps = [r for r in records if r["kind"] == "step"]
    norms = [r["gradient_norm"] for r in steps]
    part = max(1, len(steps) // 10)
    return {"accuracy": [r["accuracy"] for r in records if r["kind"] == "eval"][-1],
            "bits": statistics.mean(r.get("bits_per_coordinate", 32) for r in steps),
            "levels": [r.get("compress_level", 0) for r in steps[::part]],
            "norms": [statistics.mean(norms[i:i + part]) for i in range(0, len(norms), part)],
            "bytes": statistics.mean(r["payload_sent"] for r in steps) / RANKS, "steps": len(steps),
            "train_loss": statistics.mean(r["loss"] for r in steps[-part:])}


def told(result):
    return "grew for ever" if result["accuracy"] is None else f"{result['accuracy']:.2%}, {result['bits']:.2f} bits"


class Row:
    """The runs of one scheme, some seeds."""

    def __init__(self, scheme, runs):
        self.scheme = scheme
        self.finished = [r for r in runs if r["accuracy"] is not None]
        self.runs = runs
        if self.finished:
            self.accuracy = statistics.mean(r["accuracy"] for r in self.finished)
            self.bits = statistics.mean(r["bits"] for r in self.finished)
            self.bytes = statistics.mean(r["bytes"] for r in self.finished)

    def lost(self, plain):
        """Against float32 with the same seeds."""
        pairs = {r["seed"]: r["accuracy"] for r in plain.finished}
        return statistics.mean(pairs[r["seed"]] - r["accuracy"] for r in self.finished if r["seed"] in pairs)

    def is_lossless(self, plain):
        return len(self.finished) == len(self.runs) and self.lost(plain) <= LOSSLESS

    def cells(self, plain):
        if len(self.finished) < len(self.runs):
            return [self.scheme, f"grew for ever in {len(self.runs) - len(self.finished)} of {len(self.runs)}",
                    len(self.runs), "", "", "", ""]
        all_of = [r["accuracy"] for r in self.finished]
        return [self.scheme, f"{self.accuracy:.2%} ({min(all_of):.2%} to {max(all_of):.2%})",
                len(all_of), f"{-100 * self.lost(plain):+.2f}", f"{self.bits:.2f}", f"{32 / self.bits:.1f}",
                f"{plain.bytes / self.bytes:.1f}"]


def verdict(rows, suffix):
    """dq_sgd beside the least fixed width that loses nothing, and beside its rivals."""
    plain, dq = rows["none"], rows.get(f"dq_sgd{suffix}")
    fixed = [row for name, row in rows.items() if name.startswith("qsgd") and name.endswith("-l2") == bool(suffix)
             and row.is_lossless(plain)]
    rivals = [rows[name] for name in (f"adaptive_rms{suffix}", f"adaqs{suffix}") if name in rows]
    if not dq or not dq.finished:
        return
    for row in sorted(fixed, key=lambda row: row.bits)[:1] + [row for row in rivals if row.finished]:
        print(f"dq_sgd{suffix}: {-100 * dq.lost(plain):+.2f} points with {dq.bits / row.bits - 1:+.0%} bits beside {row.scheme}, "
              f"which has {-100 * row.lost(plain):+.2f} points")


def tables(results, args):
    for task in args.tasks:
        runs = results.of(part="quality", task=task, quick=args.quick)
        rows = {name: Row(name, [r for r in runs if r["scheme"] == name]) for name in SCHEMES
                if any(r["scheme"] == name for r in runs)}
        if "none" not in rows or not rows["none"].finished:
            continue
        plain = rows["none"]
        norms = plain.finished[0]["norms"]
        show(f"{task}: {RANKS} ranks, {plain.finished[0]['steps']} steps; norm of the gradient "
             f"{max(norms):.2f} at most, {norms[-1]:.2f} in the end",
             [["scheme", "accuracy, mean (least to most)", "seeds", "points beside none", "bits per coordinate", "32 / bits",
               "fewer bytes"], *(row.cells(plain) for row in rows.values())])
        print()
        for suffix in ("-l2", ""):
            verdict(rows, suffix)
