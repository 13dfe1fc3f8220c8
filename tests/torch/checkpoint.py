#!/usr/bin/python3
"""Checkpoints of a preset and PyTorch understand each other: checkpoint.py DSTRAIN PRESET

In an empty directory: trains the preset for three steps, loads the checkpoint into the module that
anyone would write (modules.py), strictly, and compares loss, accuracy and logits on test data with
what `dstrain eval` says. Then the other way round: evaluates a file that PyTorch wrote, and starts
a training from it.
"""
import json
import struct
import subprocess
import sys

import numpy
import torch

import modules
from safetensors import load

TRAIN, TEST, BATCH = 40, 24, 8
TOLERANCE = 1e-4
CLASSES, WORDS, CONTEXT = 10, 50, 12
ALPHABET = "abcdefghijklmnopq"

SIZES = {  # for modules.make()
    "lenet5": {}, "resnet20": {}, "vgg11-small": {"width": 8},
    "gpt": {"vocabulary": len(ALPHABET), "context": CONTEXT, "layers": 2, "width": 32, "heads": 4},
    "fasttext": {"vocabulary": WORDS, "classes": CLASSES, "width": 16},
}
OPTIONS = {"vgg11-small": "width: 8", "gpt": "layers: 2, width: 32, heads: 4",
           "fasttext": "width: 16"}


class Images:
    """Files of `count` samples, and the same for PyTorch."""

    def __init__(self, preset, count, seed):
        shape = (1, 28, 28) if preset == "lenet5" else (3, 32, 32)
        self.x = torch.randn(count, *shape, generator=torch.manual_seed(seed))
        self.y = torch.arange(count) % CLASSES

    def write(self, name):
        numpy.save(f"{name}_x.npy", self.x.numpy())
        numpy.save(f"{name}_y.npy", self.y.numpy())

    @staticmethod
    def keys(part, name):
        return [f"data.{part}.x={name}_x.npy", f"data.{part}.y={name}_y.npy"]

    def inputs(self):
        return (self.x,)

    def first(self, label):
        """Only the first sample, with another label for its last target."""
        one = object.__new__(type(self))
        one.x, one.y = self.x[:1], torch.tensor([label])
        return one


class Text(Images):
    def __init__(self, preset, count, seed):
        text = torch.randint(0, len(ALPHABET), (count * CONTEXT + 1,),
                             generator=torch.manual_seed(seed))
        text[:len(ALPHABET)] = torch.arange(len(ALPHABET))
        self.x, self.y = text[:-1].view(count, CONTEXT), text[1:]

    def write(self, name):
        with open(f"{name}.txt", "w", encoding="ascii") as out:
            out.write("".join(ALPHABET[i] for i in [*self.x.flatten(), self.y[-1]]))

    @staticmethod
    def keys(part, name):
        return [f"data.{part}={name}.txt"]

    def first(self, label):
        one = object.__new__(type(self))
        one.x, one.y = self.x[:1], torch.cat([self.y[:CONTEXT - 1], torch.tensor([label])])
        return one


class Rows(Images):
    def __init__(self, preset, count, seed):
        chance = torch.rand(count, WORDS, generator=torch.manual_seed(seed))
        self.x = (chance * 6 - 3).clamp(min=0).ceil().long()
        self.x[0, -1] = 1
        self.y = torch.arange(count) % CLASSES

    def write(self, name):
        with open(f"{name}.svm", "w", encoding="ascii") as out:
            for row, label in zip(self.x, self.y):
                pairs = (f"{i + 1}:{n}" for i, n in enumerate(row) if n)
                print(int(label), *pairs, file=out)

    @staticmethod
    def keys(part, name):
        return [f"data.{part}={name}.svm"]

    def inputs(self):
        """Words, as often as they occur, and where each sample begins."""
        words = [torch.arange(WORDS).repeat_interleave(row) for row in self.x]
        return torch.cat(words), torch.tensor([0] + [len(w) for w in words]).cumsum(0)[:-1]


KINDS = {"gpt": (Text, f"format: text, context: {CONTEXT}"),
         "fasttext": (Rows, f"format: libsvm, features: {WORDS}, classes: {CLASSES}")}


class Dstrain:
    def __init__(self, program, preset):
        self.program, self.preset = program, preset
        self.kind, fields = KINDS.get(preset, (Images, "format: npy"))
        options = ", ".join(filter(None, [f"preset: {preset}", OPTIONS.get(preset)]))
        with open("r.yaml", "w", encoding="ascii") as out:
            print(f"data: {{{fields}}}\nmodel: {{{options}}}\ntrain: {{steps: 3, batch: {BATCH}, "
                  "optimizer: {name: sgd, lr: 0.05, momentum: 0.9}}", file=out)

    def call(self, *words):
        done = subprocess.run([self.program, *words], stdout=subprocess.PIPE, check=True)
        return done.stdout

    @staticmethod
    def flags(settings):
        return [word for setting in settings for word in ("--set", setting)]

    def run(self, name, *settings):
        settings = [*self.kind.keys("train", "train"), *self.kind.keys("test", "test"), *settings]
        self.call("run", "r.yaml", "--hosts", "local:1", "--run-dir", name, "--quiet",
                  *self.flags(settings))

    def evaluate(self, model, samples):
        samples.write("asked")
        settings = [*self.kind.keys("train", "train"), *self.kind.keys("test", "asked")]
        return json.loads(self.call("eval", model, "--recipe", "r.yaml", "--json",
                                    *self.flags(settings)))


def save(path, state):
    """A safetensors file, without the package of this name."""
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    header, at = {}, 0
    for name, tensor in state.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for tensor in state.values():
            out.write(tensor.numpy().tobytes())


def agree(what, ours, theirs):
    if not abs(ours - theirs) <= TOLERANCE * max(1, abs(theirs)):
        sys.exit(f"{what}: {ours} in dstrain, {theirs} in PyTorch")


def compare(dstrain, path, model, test):
    """Loss, accuracy; and of one sample each logit, less that of class 0: losses tell those."""
    model.eval()
    with torch.no_grad():
        logits = model(*test.inputs()).flatten(0, -2)
        one = model(*test.first(0).inputs()).flatten(0, -2)
    told = dstrain.evaluate(path, test)
    agree("loss", told["loss"], torch.nn.functional.cross_entropy(logits, test.y).item())
    agree("accuracy", told["accuracy"], (logits.argmax(1) == test.y).double().mean().item())
    losses = [dstrain.evaluate(path, test.first(label))["loss"] * len(one)
              for label in range(one.shape[1])]
    for label, loss in enumerate(losses):
        agree(f"logit {label}", losses[0] - loss, (one[-1, label] - one[-1, 0]).item())


def main(program, preset):
    torch.set_num_threads(1)
    dstrain = Dstrain(program, preset)
    train, test = dstrain.kind(preset, TRAIN, 1), dstrain.kind(preset, TEST, 2)
    train.write("train")
    test.write("test")

    dstrain.run("here")
    path = "here/checkpoints/step-3/model.safetensors"
    model = modules.make(preset, **SIZES[preset])
    model.load_state_dict(load(path), strict=True)
    compare(dstrain, path, model, test)

    torch.manual_seed(3)
    model = modules.make(preset, **SIZES[preset])
    model(*train.inputs())  # moves the statistics
    save("theirs.safetensors", model.state_dict())
    compare(dstrain, "theirs.safetensors", model, test)
    dstrain.run("on", "model.init_from=theirs.safetensors", "train.steps=1",
                "train.optimizer.lr=1e-12")
    began = load("on/checkpoints/step-1/model.safetensors")
    for name, tensor in model.named_parameters():
        if not torch.allclose(began[name], tensor, rtol=0, atol=1e-9):
            sys.exit(f"{name} did not begin as PyTorch wrote it")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
