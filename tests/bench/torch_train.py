"""One of the trainings of tests/bench/curves in PyTorch: torch_train.py SETTINGS THREADS SEED [START]

SETTINGS is JSON (see curves). Prints a line of JSON for each evaluation. With START it does not train, but
writes the weights that training would begin with there, as safetensors.
"""
import gzip
import json
import math
import pathlib
import sys
import time

import numpy
import torch
from torch.nn import functional as f

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "torch"))

import checkpoint  # noqa: E402
import modules  # noqa: E402


def idx(path):
    with gzip.open(path) as packed:
        content = packed.read()
    shape = numpy.frombuffer(content, ">i4", content[3], 4)
    return torch.from_numpy(numpy.frombuffer(content, "u1", offset=4 + 4 * content[3]).reshape(shape).copy())


def cifar(paths):
    records = numpy.concatenate([numpy.fromfile(path, "u1").reshape(-1, 3073) for path in paths])
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)), torch.from_numpy(records[:, 0]).long()


def standardised(train, test):
    channels = train.float().div(255).transpose(0, 1).flatten(1)
    mean, deviation = channels.mean(1)[:, None, None], channels.std(1, unbiased=False)[:, None, None]
    return [(x.float() / 255 - mean) / deviation for x in (train, test)], -mean / deviation


def images(settings):
    data = settings["data"]
    if data["format"] == "idx":
        x = [idx(data[f"{part}.images"])[:, None] for part in ("train", "test")]
        y = [idx(data[f"{part}.labels"]).long() for part in ("train", "test")]
    else:
        (train, y0), (test, y1) = cifar(data["train"]), cifar(data["test"])
        x, y = (train, test), (y0, y1)
    (train, test), black = standardised(*x)
    return (train, y[0]), (test, y[1]), black


def changed(settings, x, black):
    """A crop of the image in a black frame, and left and right exchanged in half of the images."""
    data = settings["data"]
    if data.get("augment.crop"):
        size, room = x.shape[-1], data["augment.crop"]
        padded = f.pad(x - black, (room,) * 4) + black
        at = torch.randint(0, 2 * room + 1, (2, len(x)))
        x = torch.stack([image[:, i:i + size, j:j + size] for image, i, j in zip(padded, *at.tolist())])
    if data.get("augment.flip"):
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    return x


class Images:
    def __init__(self, settings):
        self.settings, self.batch = settings, settings["batch"]
        (self.x, self.y), self.test, self.black = images(settings)
        self.steps_per_epoch = len(self.x) // self.batch
        sizes = {"channels": self.x.shape[1]}
        self.model = modules.make(settings["model"]["preset"], **sizes)

    def epoch(self):
        order = torch.randperm(len(self.x))
        for at in range(self.steps_per_epoch):
            index = order[at * self.batch:(at + 1) * self.batch]
            yield changed(self.settings, self.x[index], self.black), self.y[index]

    def tests(self):
        x, y = self.test
        return zip(x.split(200), y.split(200))


class Text:
    def __init__(self, settings):
        data, self.batch = settings["data"], settings["batch"]
        with open(data["train"], encoding="utf-8") as text:
            characters = text.read()
        number = {c: i for i, c in enumerate(sorted(set(characters)))}
        tokens = torch.tensor([number[c] for c in characters])
        held = int(len(tokens) * data["test_share"])
        self.train, self.held, self.length = tokens[:len(tokens) - held], tokens[len(tokens) - held:], data["context"]
        self.steps_per_epoch = settings["steps"]
        sizes = {key: value for key, value in settings["model"].items() if key != "preset"}
        self.model = modules.make("gpt", vocabulary=len(number), context=self.length, **sizes)

    def sample(self, tokens, starts):
        rows = tokens[starts[:, None] + torch.arange(self.length + 1)]
        return rows[:, :-1], rows[:, 1:].flatten()

    def epoch(self):
        for _ in range(self.steps_per_epoch):
            yield self.sample(self.train, torch.randint(0, len(self.train) - self.length, (self.batch,)))

    def tests(self):
        starts = torch.arange(0, len(self.held) - self.length, self.length)
        return (self.sample(self.held, part) for part in starts.split(16))


def optimizer_of(settings, model):
    given = dict(settings["optimizer"])
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[given.pop("name")]
    if "beta1" in given:
        given["betas"] = (given.pop("beta1"), given.pop("beta2"))
    groups = [{"params": list(model.parameters())}]
    if given.pop("decay", "all") == "matrices":
        groups = [{"params": [p for p in model.parameters() if p.dim() >= 2]},
                  {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0}]
    return kind(groups, **given)


def factor(settings, step, steps):
    schedule = settings["schedule"]
    warmup, floor = schedule.get("warmup", 0), schedule.get("floor", 0)
    if step < warmup:
        return (step + 1) / warmup
    wave = (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
    return floor + (1 - floor) * wave


def evaluate(model, samples):
    model.eval()
    loss, right, count = 0, 0, 0
    with torch.no_grad():
        for x, y in samples:
            z = model(x).flatten(0, -2)
            loss += f.cross_entropy(z, y, reduction="sum").item()
            right += (z.argmax(1) == y).sum().item()
            count += len(y)
    model.train()
    return {"loss": loss / count, "accuracy": right / count}


def main():
    settings, threads, seed = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = (Text if settings["model"]["preset"] == "gpt" else Images)(settings)
    if len(sys.argv) > 4:
        checkpoint.save(sys.argv[4], data.model.state_dict())
        return
    optimizer = optimizer_of(settings, data.model)
    steps = settings["steps"] or settings["epochs"] * data.steps_per_epoch
    began, step = time.perf_counter(), 0
    while step < steps:
        for x, y in data.epoch():
            for group in optimizer.param_groups:
                group["lr"] = settings["optimizer"]["lr"] * factor(settings, step, steps)
            optimizer.zero_grad()
            f.cross_entropy(data.model(x).flatten(0, -2), y).backward()
            if settings.get("clip"):
                torch.nn.utils.clip_grad_norm_(data.model.parameters(), settings["clip"])
            optimizer.step()
            step += 1
        passed = time.perf_counter() - began
        print(json.dumps({"step": step, **evaluate(data.model, data.tests()), "seconds": passed}), flush=True)


if __name__ == "__main__":
    main()
