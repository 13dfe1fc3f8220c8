"""Seconds to an accuracy on eight hosts of a lab with slow links: schemes under ring and ds_sync, and PyTorch with hooks.

Of each case the seconds of a step are measured over some seconds, and the steps to the accuracy counted on links without
limits, with the same hosts and seed; their product is told with a ~. Where it is short the run is made, too. The runs are
those of tests/bench/ds-sync.
"""
import contextlib
import importlib.machinery
import importlib.util
import types

from compression_runs import HERE, known, show

HOSTS, TOPOLOGY, SIZE = 8, "homogeneous", "250k"
SHORT_S = 100  # of a run to the accuracy that is worth making

SCHEMES = {
    "none": {},
    "fp16": {"scheme": "fp16"},
    "qsgd-4": {"scheme": "qsgd", "bits": 4},
    "dq_sgd": {"scheme": "dq_sgd", "mode": "fixed", "kappa": 80},
    "sign": {"scheme": "sign"},
    "topk": {"scheme": "topk", "share": 0.01},
    "topk-corrected": {"scheme": "topk", "share": 0.01, "feedback": "momentum-corrected"},
    "cat": {"scheme": "cat"},
    "dgc": {"scheme": "dgc", "feedback": "momentum-corrected"},
    "powersgd": {"scheme": "powersgd"},
}
STRATEGIES = ("ring", "ds_sync")
HOOKS = ("none", "fp16", "powersgd-1", "powersgd-4")
SECONDS = 6  # of a run whose steps are timed


def load_runs():
    loader = importlib.machinery.SourceFileLoader("ds_sync", str(HERE / "ds-sync"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ds_sync", loader))
    loader.exec_module(module)
    return module


ds_sync = load_runs()


def settings(case):
    curve = case["kind"] == "curve"
    scheme = SCHEMES.get(case["scheme"], {}) if case["strategy"] != "pytorch" else {}
    replaced = ["train.optimizer.momentum=0"] * ("feedback" in scheme)
    return types.SimpleNamespace(
        nic=case["nic"], curves=curve, keep=False, true_links=True, reach=case["kind"] != "step",
        seconds=SECONDS if case["kind"] == "step" or case["quick"] else 0,
        hook=case["scheme"], set=[*(f"compress.{key}={value}" for key, value in scheme.items()), *replaced])


@contextlib.contextmanager
def place(_args, name="compression"):
    lab = ds_sync.Lab(HOSTS, types.SimpleNamespace(nic=100.0, curves=False, keep=False))
    lab.cluster = ds_sync.cluster.Cluster(name)
    with lab:
        yield lab


def pairs(args):
    schemes = known("compress")
    for scheme, about in SCHEMES.items():
        if about.get("scheme", "none") in schemes and args.wants(scheme):
            # where weights are averaged nothing is fed back
            yield from ((strategy, scheme) for strategy in STRATEGIES if strategy == "ring" or "feedback" not in about)
    yield from (("pytorch", hook) for hook in HOOKS if args.wants(hook))


def cases(args, results):
    """Curves, then steps, then what runs are short enough by those."""
    both = list(pairs(args))
    all_of = [("curve", args.nic[0], *pair) for pair in both]
    all_of += [("step", nic, *pair) for nic in args.nic for pair in both]
    all_of += [("full", nic, *pair) for nic in args.nic for pair in both
               if (expected(results, nic, *pair, args.quick) or SHORT_S) < SHORT_S]
    return [{"part": "time", "kind": kind, "nic": nic, "strategy": strategy, "scheme": scheme, "quick": args.quick}
            for kind, nic, strategy, scheme in all_of if kind in args.kinds]


def trained(lab, strategy, args, period=None):
    """What a run has written, and what its steps were like. Step times repeat with the period, or with that of its plan."""
    lab.nic = args.nic
    lab.shape(TOPOLOGY, not args.curves)
    busy, idle = ds_sync.busy_and_idle()
    if strategy == "pytorch":
        records, answer = ds_sync.run_pytorch(lab, TOPOLOGY, SIZE, args)
    else:
        records, answer = ds_sync.run_dstrain(lab, TOPOLOGY, strategy, SIZE, args)
    busy, idle = (now - then for now, then in zip(ds_sync.busy_and_idle(), (busy, idle)))
    result = ds_sync.result_of(records, {**answer, "period": period} if period else answer, HOSTS)
    return records, {**{key: result[key] for key in ("steps", "step_s", "compute_s", "bytes", "evals")}, "idle": idle / (busy + idle)}


def measure(case, lab, _args):
    records, result = trained(lab, case["strategy"], settings(case))
    return {**result, "bits": records[-2].get("bits_per_coordinate", 32)}


def told(result):
    best = max((accuracy for _, accuracy, _ in result["evals"]), default=None)
    return f"{1e3 * result['step_s']:.1f} ms, {result['idle']:.0%} idle" + (f", {best:.2%}" if best else "")


def found(results, **wanted):
    """The one in the middle, by seconds a step, of the runs of a case."""
    runs = sorted(results.of(part="time", **wanted), key=lambda r: r["step_s"])
    return runs[(len(runs) - 1) // 2] if runs else None


def steps_to_target(results, strategy, scheme, quick):
    curve = found(results, kind="curve", strategy=strategy, scheme=scheme, quick=quick)
    reached = curve and ds_sync.reached(curve["evals"])
    return reached[0] if reached else None


def expected(results, nic, strategy, scheme, quick):
    """Seconds to the accuracy: steps there, times the seconds of a step here; None: not known, or never."""
    steps = steps_to_target(results, strategy, scheme, quick)
    timed = found(results, kind="step", nic=nic, strategy=strategy, scheme=scheme, quick=quick)
    return steps * timed["step_s"] if steps and timed else None


def row(results, nic, strategy, scheme, plain, quick):
    timed = found(results, kind="step", nic=nic, strategy=strategy, scheme=scheme, quick=quick)
    curve = found(results, kind="curve", strategy=strategy, scheme=scheme, quick=quick)
    full = found(results, kind="full", nic=nic, strategy=strategy, scheme=scheme, quick=quick)
    steps = steps_to_target(results, strategy, scheme, quick)
    seconds = expected(results, nic, strategy, scheme, quick)
    reached = full and ds_sync.reached(full["evals"])
    return [strategy, scheme, f"{1e3 * timed['step_s']:.1f}",
            f"{1e3 * timed['bytes'] * 8 / (nic * 1e6 * ds_sync.PAYLOAD):.1f}", f"{timed['bytes'] / 1e3:.1f}",
            f"{steps:.0f}" if steps else "never" if curve else "", f"{curve['evals'][-1][1]:.1%}" if curve else "",
            f"~{seconds:.1f}" if seconds else "", f"{reached[1]:.1f}" if reached else "",
            f"{plain / seconds:.1f}" if seconds and plain else ""]


def tables(results, args):
    for nic in args.nic:
        both = [pair for pair in pairs(args) if found(results, kind="step", nic=nic, strategy=pair[0], scheme=pair[1],
                                                      quick=args.quick)]
        times = {pair: expected(results, nic, *pair, args.quick) for pair in both}
        plain = times.get(("ring", "none"))
        if not both:
            continue
        show(f"{HOSTS} hosts with {nic:g} Mbit/s, to {ds_sync.TARGET:.0%}",
             [["", "scheme", "ms a step", "ms that its bytes take", "KB a rank sends", "steps there", "last accuracy",
               "seconds: steps x step", "seconds of a run", "times ring, none"],
              *(row(results, nic, *pair, plain, args.quick) for pair in both)])
        verdict(times, plain)


def verdict(times, plain):
    ours = {pair: seconds for pair, seconds in times.items() if pair[0] != "pytorch" and seconds}
    theirs = {pair: seconds for pair, seconds in times.items() if pair[0] == "pytorch" and seconds}
    if ours and plain:
        best = min(ours, key=ours.get)
        print(f"\nbest: {' '.join(best)}, {plain / ours[best]:.1f} times as fast as ring, none")
    if ours and theirs:
        peer = min(theirs, key=theirs.get)
        print(f"and {theirs[peer] / ours[best]:.1f} times as fast as the best of PyTorch, {peer[1]}")
