#!/usr/bin/python3
"""Reads a model.safetensors without the safetensors package, and runs it in PyTorch.

safetensors.py show FILE            name, shape and sum of every tensor, one per line
safetensors.py logits FILE [ACT]    one line of logits for each line of numbers on stdin;
                                    ACT (relu, tanh, sigmoid) stands between the layers
"""
import json
import struct
import sys
from collections import OrderedDict

import torch

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}


def load(path):
    """The tensors of a file, as a state_dict in the order of the file."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = OrderedDict()
    covered = 0
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] != "F32" or start != covered or end > len(content) - 8 - length:
            sys.exit(f"{path}: tensor '{name}' is not as expected: {entry}")
        values = bytearray(content[8 + length + start : 8 + length + end])
        flat = torch.frombuffer(values, dtype=torch.float32) if values else torch.empty(0)
        tensors[name] = flat.reshape(entry["shape"])
        covered = end
    if covered != len(content) - 8 - length:
        sys.exit(f"{path}: bytes behind the last tensor")
    return tensors


def module(state, activation):
    """The layers that the names and shapes of a state_dict tell of, with its values."""
    model = torch.nn.Sequential()
    for name, weight in state.items():
        layer, _, kind = name.rpartition(".")
        if kind == "bias":
            continue
        if kind != "weight" or weight.dim() != 2:
            sys.exit(f"'{name}' is no weight of a linear layer")
        if len(model):
            model.add_module(f"{activation}{len(model)}", ACTIVATIONS[activation]())
        outputs, inputs = weight.shape
        model.add_module(layer, torch.nn.Linear(inputs, outputs, f"{layer}.bias" in state))
    model.load_state_dict(state, strict=True)
    return model.eval()


def show(path):
    for name, tensor in load(path).items():
        shape = "x".join(str(dim) for dim in tensor.shape)
        print(f"{name} {shape} {tensor.double().sum().item():.9g}")


def logits(path, activation="relu"):
    inputs = [[float(x) for x in line.split()] for line in sys.stdin if line.strip()]
    with torch.no_grad():
        for row in module(load(path), activation)(torch.tensor(inputs)):
            print(" ".join(f"{x:.9g}" for x in row.tolist()))


if __name__ == "__main__":
    commands = {"show": show, "logits": logits}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
