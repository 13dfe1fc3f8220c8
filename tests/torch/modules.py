"""The presets as the PyTorch modules that anyone would write: the names and layouts of a checkpoint.

A checkpoint of preset X holds exactly the state_dict of make(X, ...), less `num_batches_tracked`,
which load_state_dict() does without. A reader of PyTorch's files has to skip that one.
"""
import collections

import torch
from torch import nn
from torch.nn import functional as f

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def mlp(inputs, classes, hidden=(256, 128), activation="relu"):
    """Linear layers fc1, fc2, ... with an activation between any two."""
    widths = [inputs, *hidden, classes]
    layers = collections.OrderedDict()
    for i in range(1, len(widths)):
        if i > 1:
            layers[f"{activation}{i - 1}"] = ACTIVATIONS[activation]()
        layers[f"fc{i}"] = nn.Linear(widths[i - 1], widths[i])
    return nn.Sequential(layers)


def linear(inputs, classes):
    """softmax, svm, logistic: fc1 alone, of one output if the loss of two classes wants one."""
    return mlp(inputs, classes, ())


class LeNet5(nn.Module):
    """LeCun et al. 1998 as commonly written: relu, max pooling, all maps connected.

    Planes of 28 x 28 are padded to the 32 x 32 of the paper.
    """

    def __init__(self, channels=1, side=28, classes=10):
        super().__init__()
        padding = 2 if side == 28 else 0
        side = ((side + 2 * padding - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = f.max_pool2d(f.relu(self.conv1(x)), 2)
        x = f.max_pool2d(f.relu(self.conv2(x)), 2)
        x = f.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(f.relu(self.fc2(x)))


class BasicBlock(nn.Module):
    """He et al. 2015, figure 2; option B (a projection) where the shape changes."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False),
                                          nn.BatchNorm2d(width))

    def forward(self, x):
        y = f.relu(self.bn1(self.conv1(x)))
        return f.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """He et al. 2015, section 4.2, n = 3: 16, 32 and 64 maps, global average pooling, fc."""

    def __init__(self, channels=3, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, 1)
        self.layer2 = self.stage(16, 32, 2)
        self.layer3 = self.stage(32, 64, 2)
        self.fc = nn.Linear(64, classes)

    @staticmethod
    def stage(inputs, width, stride):
        return nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1),
                             BasicBlock(width, width, 1))

    def forward(self, x):
        x = f.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))


class VGG11Small(nn.Module):
    """Simonyan and Zisserman 2014, configuration A, with batch norm as in torchvision's vgg11_bn.

    For small images: half the maps, and one linear layer as classifier. Positions in `features`:
    convolution N, batch norm N + 1, relu, and after some a max pooling of 2.
    """

    PLAN = (1, "pool", 2, "pool", 4, 4, "pool", 8, 8, "pool", 8, 8, "pool")

    def __init__(self, channels=3, side=32, classes=10, width=32):
        super().__init__()
        layers = []
        for step in self.PLAN:
            if step == "pool":
                layers.append(nn.MaxPool2d(2))
                side //= 2
            else:
                layers += [nn.Conv2d(channels, step * width, 3, padding=1),
                           nn.BatchNorm2d(step * width), nn.ReLU()]
                channels = step * width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * side * side, classes)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class Attention(nn.Module):
    """Causal self-attention; c_attn gives queries, keys and values of all heads, in this order."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
                   for part in self.c_attn(x).split(width, dim=2))
        if hasattr(f, "scaled_dot_product_attention"):
            y = f.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            score = q @ k.transpose(2, 3) * (width // self.heads) ** -0.5
            future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            y = score.masked_fill(future, float("-inf")).softmax(dim=3) @ v
        return self.c_proj(y.transpose(1, 2).reshape(batch, length, width))


class FeedForward(nn.Module):
    def __init__(self, width, gelu):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.gelu = nn.GELU(approximate="tanh" if gelu == "tanh" else "none")

    def forward(self, x):
        return self.c_proj(self.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads, gelu):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, gelu)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """GPT-2's shape with nanoGPT's names; the head's weight is wte's, without a name of its own.

    gelu: erf (nn.GELU()) or tanh (GPT-2's approximation).
    """

    def __init__(self, vocabulary, context, layers=4, width=128, heads=4, gelu="erf"):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(width, heads, gelu) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for embedding in (self.wte, self.wpe):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, x):
        position = torch.arange(x.shape[1], device=x.device)
        x = self.wte(x) + self.wpe(position)
        for block in self.h:
            x = block(x)
        return f.linear(self.ln_f(x), self.wte.weight)


class FastText(nn.Module):
    """Joulin et al. 2016: the mean of the words' vectors, and a linear layer.

    A word that occurs n times counts n times: of a sparse row, mean = sum of value * vector over
    sum of value.
    """

    def __init__(self, vocabulary, classes, width=64):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocabulary, width, mode="mean")
        self.fc = nn.Linear(width, classes)

    def forward(self, words, starts):
        return self.fc(self.embedding(words, starts))


PRESETS = {"mlp": mlp, "softmax": linear, "logistic": linear, "svm": linear, "lenet5": LeNet5,
           "resnet20": ResNet20, "vgg11-small": VGG11Small, "gpt": GPT, "fasttext": FastText}


def make(preset, **sizes):
    return PRESETS[preset](**sizes)
