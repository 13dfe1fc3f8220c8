"""Bytes and seconds to an accuracy on eight hosts of a lab with slow links, where ranks train alone between averages.

As in tests/bench/compression's part `time`: the seconds of a step are measured over some seconds, the steps to the
accuracy counted on links without limits, with the same hosts and seed; where their product is short the run is made, too.
"""
import types

import compression_time
from compression_runs import show
from compression_time import HOSTS, SHORT_S, ds_sync

KINDS = ("curve", "step", "full")
SECONDS, QUICK_S = 12, 2  # of a run whose steps are timed: some of the longest periods
POWERSGD = {"scheme": "powersgd"}
QSGD = {"scheme": "qsgd", "bits": 4}


def ours(strategy, compress=None, epochs=8, **options):
    return {"sync": {"strategy": strategy, **options}, "compress": compress or {}, "epochs": epochs, "period": options.get("period", 1)}


def peer(hook, epochs=8, period=1):
    return {"sync": {"strategy": "bsp" if period == 1 else "local_sgd"}, "hook": hook, "epochs": epochs, "period": period}


ROWS = {  # a step sees as many samples in all, so that more epochs are more steps under a slower fall of the learning rate
    "`bsp`, ring": ours("bsp"),
    "`ds_sync`": ours("ds_sync"),
    **{f"`local_sgd`, {period}": ours("local_sgd", period=period) for period in (4, 16, 64)},
    "`local_sgd`, adaptive": {**ours("local_sgd", period=4, divergence=0.05), "period": None},
    "`diloco`, 16": ours("diloco", period=16),
    "`local_sgd`, 4, `powersgd`": ours("local_sgd", POWERSGD, period=4),
    "`local_sgd`, 4, `qsgd` of 4 bits": ours("local_sgd", QSGD, period=4),
    **{f"`{name}`, {period}, 16 epochs": ours(name, period=period, epochs=16)
       for name, period in (("local_sgd", 16), ("local_sgd", 64), ("diloco", 16), ("diloco", 64))},
    "`fedavg`, 16, half of the ranks, 16 epochs": ours("fedavg", period=16, clients=HOSTS // 2, epochs=16),
    "`local_sgd`, 16, `powersgd`, 16 epochs": ours("local_sgd", POWERSGD, period=16, epochs=16),
    "PyTorch": peer("none"),
    "PyTorch, post-local SGD, 4": peer("local-4", period=4),
    **{f"PyTorch, post-local SGD, {period}, 16 epochs": peer(f"local-{period}", 16, period) for period in (16, 64)},
}


def cases(args, results):
    """Curves, then steps, but of those that never get there, then what runs are short enough by both."""
    def case(kind, name):
        return {"part": "slow", "kind": kind, "row": name, "strategy": ROWS[name]["sync"]["strategy"], "nic": args.nic, "quick": args.quick}

    yield from (case("curve", name) for name in ROWS if "curve" in args.kinds)
    yield from (case("step", name) for name in ROWS if "step" in args.kinds and
                (args.quick or goal(results, name, args) or not found(results, "curve", name, args)))
    yield from (case("full", name) for name in ROWS if "full" in args.kinds and is_short(results, name, args))


def arguments(case):
    about, timed = ROWS[case["row"]], case["kind"] == "step"
    options = [f"{section}.{key}={value}" for section in ("sync", "compress") for key, value in about.get(section, {}).items()]
    options.append(f"train.epochs={about['epochs']}")
    return types.SimpleNamespace(
        nic=case["nic"], curves=case["kind"] == "curve", keep=False, true_links=True, reach=case["kind"] == "full",
        seconds=QUICK_S if case["quick"] else SECONDS if timed else 0, hook=about.get("hook"), set=options, train={"epochs": about["epochs"]})


def sent_by(records, steps):
    """Bytes that a rank has sent in the steps until each of these."""
    taken = [r for r in records if r["kind"] == "step"]
    senders = HOSTS if "payload_sent" in taken[0] else 1
    return [sum(r.get("payload_sent", r["bytes_sent"]) for r in taken if r["step"] <= step) / senders for step in steps]


def measure(_folder, case):
    about = ROWS[case["row"]]
    run = "pytorch" if "hook" in about else "ds_sync" if case["strategy"] == "ds_sync" else "ring"
    with compression_time.place(None, "slow") as lab:
        records, result = compression_time.trained(lab, run, arguments(case), about["period"] if run != "ds_sync" else None)
    return {**result, "sent": sent_by(records, [step for step, _, _ in result["evals"]])}


def found(results, kind, name, args):
    runs = sorted(results.of(part="slow", kind=kind, row=name, nic=args.nic, quick=args.quick), key=lambda r: r["step_s"])
    return runs[(len(runs) - 1) // 2] if runs else None


def goal(results, name, args):
    """Steps to the accuracy, and the bytes that a rank sends until then; None: not known, or never."""
    curve = found(results, "curve", name, args)
    if not curve or not ds_sync.reached(curve["evals"]):
        return None
    steps = [[step, accuracy, sent] for (step, accuracy, _), sent in zip(curve["evals"], curve["sent"])]
    return ds_sync.reached(steps)


def expected(results, name, args):
    """Seconds to the accuracy; of a period that changes not known."""
    timed, there = found(results, "step", name, args), goal(results, name, args)
    return there[0] * timed["step_s"] if timed and there and ROWS[name]["period"] else None


def is_short(results, name, args):
    if not ROWS[name]["period"]:
        return goal(results, name, args) is not None
    return (expected(results, name, args) or SHORT_S) < SHORT_S


def seconds_of(size, args):
    """That so many bytes of a rank take at least."""
    return size * 8 / (args.nic * 1e6 * ds_sync.PAYLOAD)


def cells(results, name, plain, args):
    timed, curve, full = (found(results, kind, name, args) for kind in ("step", "curve", "full"))
    there, seconds = goal(results, name, args), expected(results, name, args)
    whole, last = full and ds_sync.reached(full["evals"]), curve and [accuracy for _, accuracy, _ in curve["evals"]][-1:]
    took, period = (whole and whole[1]) or seconds, ROWS[name]["period"]
    told = timed and period and [timed["bytes"] * period / 1e3, 1e3 * seconds_of(timed["bytes"] * period, args),
                                 1e3 * timed["step_s"] * period]
    return [name, *(map("{:.0f}".format, told) if told else [""] * 3), f"{there[0]:.0f}" if there else "never" if last else "",
            f"{last[0]:.1%}" if last else "", *([f"{there[1] / 1e6:.1f}", f"{seconds_of(there[1], args):.1f}"] if there else ["", ""]), f"{seconds:.1f}" if seconds else "",
            f"{whole[1]:.1f}" if whole else "", f"{plain / took:.1f}" if plain and took else ""]


def tables(results, args):
    there = [name for name in ROWS if any(found(results, kind, name, args) for kind in KINDS)]
    plain = expected(results, "`bsp`, ring", args)
    show(f"{HOSTS} hosts with {args.nic:g} Mbit/s, to {ds_sync.TARGET:.0%}",
         [["strategy, steps of a round", "KB a rank sends in a round", "ms that these take", "ms a round", "steps there",
           "last accuracy", "MB a rank sends until there", "seconds these take", "seconds: steps x step", "seconds of a run", "times `bsp`"],
          *(cells(results, name, plain, args) for name in there)])
