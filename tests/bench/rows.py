"""The rows of tests/bench/step: models, batches, and what a step of them cannot do without."""

ROWS = {  # name: preset, its sizes, samples in a batch, shape of a sample
    "mlp": {"preset": "mlp", "sizes": {"inputs": 784, "classes": 10, "hidden": (512, 256)},
            "batch": 128, "sample": (784,)},
    "lenet5": {"preset": "lenet5", "sizes": {}, "batch": 128, "sample": (1, 28, 28)},
    "resnet20": {"preset": "resnet20", "sizes": {}, "batch": 32, "sample": (3, 32, 32)},
    "gpt-4x128": {"preset": "gpt", "sizes": {"vocabulary": 65, "context": 128, "layers": 4,
                                             "width": 128, "heads": 4}, "batch": 8, "sample": (128,)},
    "gpt-6x384": {"preset": "gpt", "sizes": {"vocabulary": 65, "context": 256, "layers": 6,
                                             "width": 384, "heads": 6}, "batch": 4, "sample": (256,)},
    "a9a-128": {"preset": "logistic", "sizes": {"inputs": 123, "classes": 1}, "batch": 128,
                "sample": (123,), "filled": 14},
    "a9a-1024": {"preset": "logistic", "sizes": {"inputs": 123, "classes": 1}, "batch": 1024,
                 "sample": (123,), "filled": 14},
}
BATCHES = 8  # of made-up samples
CLASSES = 10
OPTIMIZER = {"lr": 0.001, "momentum": 0.9}
