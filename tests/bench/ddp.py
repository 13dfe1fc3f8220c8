"""Train an MLP with PyTorch's DistributedDataParallel over gloo, and print the median step.

usage: ddp.py WORLD BATCH STEPS [WIDTH...]
The batch is over all ranks; one thread per rank; made-up pictures, SGD with momentum.
"""
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def train(rank, world, batch, steps, widths):
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    dist.init_process_group("gloo", rank=rank, world_size=world)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    layers = []
    for width, outputs in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(width, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    if world > 1:
        model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = torch.rand(60000, widths[0])
    y = torch.randint(0, widths[-1], (60000,))
    share = batch // world
    seconds = []
    for step in range(steps):
        began = time.perf_counter()
        index = torch.randint(0, 60000, (share,))
        loss = torch.nn.functional.cross_entropy(model(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    if rank == 0:
        print(statistics.median(seconds[steps // 5:]))
    dist.destroy_process_group()


if __name__ == "__main__":
    world, batch, steps, *widths = map(int, sys.argv[1:])
    os.environ["MASTER_PORT"] = str(20000 + os.getpid() % 20000)
    if world == 1:
        train(0, world, batch, steps, widths)
    else:
        mp.spawn(train, (world, batch, steps, widths), world)
