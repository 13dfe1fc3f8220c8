"""Train an MLP with PyTorch's DistributedDataParallel over gloo, one rank in each host of a lab.

usage: ddp_hosts.py SETTINGS, which are JSON: lab, hosts, data, hidden, batch, epochs, lr, momentum, warmup, seed, hook (none, fp16,
powersgd-RANK or local-PERIOD), and meeting, a directory.
Prints what dstrain writes to metrics.jsonl: a line of JSON for every step and evaluation. Time begins when all ranks
are ready. bytes_sent is what left the first rank's NIC, headers and all; compute_s a step without communication, while
the other ranks compute theirs. local-PERIOD is local SGD from the first step on, and what is tested is the mean of the
ranks' weights. PyTorch is loaded once, and the ranks are forks of that process.
"""
import copy
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE.parent / "lab")]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, post_localSGD_hook, powerSGD_hook  # noqa: E402
from torch.distributed.algorithms.model_averaging import averagers  # noqa: E402
from torch.distributed.algorithms.model_averaging import utils as averaging  # noqa: E402
from torch.distributed.optim import PostLocalSGDOptimizer  # noqa: E402
from torch.nn import functional as f  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

import cluster  # noqa: E402
import processes  # noqa: E402
import torch_train  # noqa: E402

ALONE = 8  # steps without communication
WHOLE = 2  # steps before PowerSGD begins: its hook wants some


def load(settings):
    def read(name):
        return torch_train.idx(f"{settings['data']}/{name}-ubyte.gz")

    pictures = [read(name)[:, None] for name in ("train-images-idx3", "t10k-images-idx3")]
    (train, test), _ = torch_train.standardised(*pictures)
    return ((train.flatten(1), read("train-labels-idx1").long()),
            (test.flatten(1), read("t10k-labels-idx1").long()))


def sent():
    """Bytes that have left this process's host."""
    for line in pathlib.Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines():
        if line.strip().startswith("eth0:"):
            return int(line.split()[9])
    raise RuntimeError("no eth0")


def tell(kind, began, **values):
    print(json.dumps({"kind": kind, **values, "elapsed_s": time.perf_counter() - began}), flush=True)


def accuracy(model, x, y, rank, world):
    """Each rank tests its part."""
    with torch.no_grad():
        right = (model(x[rank::world]).argmax(1) == y[rank::world]).sum()
    dist.all_reduce(right)
    return right.item() / len(y)


def alone(model, x, y, share):
    """Seconds of a step that tells nobody."""
    took = []
    for _ in range(ALONE):
        began = time.perf_counter()
        with model.no_sync():
            f.cross_entropy(model(x[:share]), y[:share]).backward()
        took.append(time.perf_counter() - began)
    model.zero_grad()
    return sorted(took)[ALONE // 2]


def mean_of(network):
    """Of the ranks."""
    mean = copy.deepcopy(network)
    averaging.average_parameters(mean.parameters(), None)
    return mean


def attach(model, hook):
    if hook == "fp16":
        model.register_comm_hook(None, default_hooks.fp16_compress_hook)
    elif hook.startswith("local-"):
        state = post_localSGD_hook.PostLocalSGDState(None, None, 0, post_local_gradient_allreduce=False)
        model.register_comm_hook(state, post_localSGD_hook.post_localSGD_hook)
    elif hook != "none":
        state = powerSGD_hook.PowerSGDState(None, matrix_approximation_rank=int(hook.removeprefix("powersgd-")),
                                            start_powerSGD_iter=WHOLE, min_compression_rate=1)
        model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)


def train(settings, parts, rank):
    world = len(settings["hosts"])
    (x, y), test = parts
    network = torch_train.modules.make("mlp", inputs=x.shape[1], classes=10, hidden=settings["hidden"])
    model = DistributedDataParallel(network)
    attach(model, settings["hook"])
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["lr"], momentum=settings["momentum"])
    apart = settings["hook"].startswith("local-")
    if apart:
        period = int(settings["hook"].removeprefix("local-"))
        optimizer = PostLocalSGDOptimizer(optimizer, averagers.PeriodicModelAverager(period))
    share, steps_per_epoch = settings["batch"] // world, len(x) // settings["batch"]
    steps = settings["epochs"] * steps_per_epoch
    compute = alone(model, x, y, share)
    dist.barrier()
    began, before = time.perf_counter(), sent()
    for step in range(steps):
        at = step % steps_per_epoch
        if at == 0:
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(settings["seed"] + step))
        index = order[at * settings["batch"]:][rank * share:][:share]
        for group in optimizer.param_groups:
            group["lr"] = settings["lr"] * torch_train.factor(settings, step, steps)
        optimizer.zero_grad()
        f.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
        now = sent()
        if rank == 0:
            tell("step", began, step=step + 1, bytes_sent=now - before, compute_s=compute)
        before = now
        if at + 1 == steps_per_epoch:
            right = accuracy(mean_of(network) if apart else network, *test, rank, world)
            if rank == 0:
                tell("eval", began, step=step + 1, accuracy=right)
            before = sent()


def be_rank(settings, lab, parts, rank, meeting):
    processes.setns(open(cluster.NETNS / lab.netns(settings["hosts"][rank]), encoding="ascii"))
    os.environ["GLOO_SOCKET_IFNAME"] = "eth0"
    torch.manual_seed(settings["seed"])
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=len(settings["hosts"]))
    train(settings, parts, rank)
    dist.barrier()


def main():
    settings = json.loads(sys.argv[1])
    settings["schedule"] = {"warmup": settings["warmup"]}
    torch.set_num_threads(1)
    lab, parts = cluster.Cluster(settings["lab"]).load(), load(settings)
    meeting = f"{settings['meeting']}/{os.getpid()}"
    ranks = []
    for rank in range(len(settings["hosts"])):
        ranks.append(os.fork())
        if ranks[-1] == 0:
            be_rank(settings, lab, parts, rank, meeting)
            return
    statuses = [os.waitpid(pid, 0)[1] for pid in ranks]
    sys.exit(1 if any(statuses) else 0)


if __name__ == "__main__":
    main()
