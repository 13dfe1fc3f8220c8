"""Runs of dstrain on this machine for tests/bench/compression, and the file of what came out of them."""
import contextlib
import gzip
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DSTRAIN = os.environ.get("DSTRAIN", str(ROOT / "dstrain"))
FASHION = "/usr/share/datasets/fashion-mnist"


class Results:
    """Lines of JSON, one for each case that was run; what stands there is not run again."""

    def __init__(self, path):
        self.path = path
        self.all = records_of(path)

    def has(self, case):
        return any(all(result.get(key) == value for key, value in case.items()) for result in self.all)

    def add(self, case, measured):
        result = {**case, **measured}
        self.all.append(result)
        with open(self.path, "a", encoding="ascii") as out:
            out.write(json.dumps(result) + "\n")
        return result

    def of(self, **wanted):
        """The last ones of each case count."""
        return [r for r in self.all if all(r.get(key) == value for key, value in wanted.items())]


def records_of(path):
    with contextlib.suppress(FileNotFoundError):
        with open(path, encoding="ascii") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]
    return []


def environment():
    return {**{key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"},
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def known(category):
    """The names that this dstrain has there."""
    told = subprocess.run([DSTRAIN, "list", category, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return {entry["name"] for entry in json.loads(told.stdout)[category]}


@contextlib.contextmanager
def scratch(_args):
    """Where a part keeps what it makes of the data."""
    with tempfile.TemporaryDirectory(prefix="compression-") as folder:
        yield pathlib.Path(folder)


def train(path, ranks, run_dir, enough):
    """Its exit status, 0 if it was ended because what it has written is enough; and what it said."""
    process = subprocess.Popen([DSTRAIN, "run", path, "--hosts", f"local:{ranks}", "--run-dir", run_dir, "--quiet"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())
    stopped = False
    while process.poll() is None and not stopped:
        time.sleep(0.2)
        stopped = enough(records_of(f"{run_dir}/metrics.jsonl"))
    if stopped:
        process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    return 0 if stopped else process.returncode, said


@contextlib.contextmanager
def trained(recipe, ranks, enough=lambda records: False):
    """The directory of a run that has ended; None if its numbers grew for ever."""
    with tempfile.TemporaryDirectory(prefix="compression-") as folder:
        path, run_dir = f"{folder}/recipe.yaml", f"{folder}/run"
        with open(path, "w", encoding="ascii") as out:
            json.dump(recipe, out)
        status, said = train(path, ranks, run_dir, enough)
        if status and "not finite" not in said:
            sys.exit(f"compression: {said}")
        yield None if status else pathlib.Path(run_dir)


def fashion_files(part):
    return {kind: f"{FASHION}/{part}-{kind}-idx{rank}-ubyte.gz" for kind, rank in (("images", 3), ("labels", 1))}


def read_idx(path):
    """The sizes of an IDX file's dimensions, and its bytes."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        content = file.read()
    start = 4 + 4 * content[3]
    return struct.unpack(f">{content[3]}I", content[4:start]), content[start:]


def write_idx(path, sizes, content):
    path.write_bytes(bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + content)
    return str(path)


def first_pictures(folder, count, label=lambda number: number, part="train"):
    """Files with the first pictures of Fashion-MNIST's training set, and what `label` makes of their labels."""
    files = fashion_files(part)
    (_, *sides), pictures = read_idx(files["images"])
    labels = bytes(map(label, read_idx(files["labels"])[1][:count]))
    size = sides[0] * sides[1]
    return {"images": write_idx(folder / f"{part}-images-{count}.idx", [count, *sides], pictures[:count * size]),
            "labels": write_idx(folder / f"{part}-labels-{count}.idx", [count], labels)}


def show(title, rows):
    """A table in Markdown; the first row are its heads."""
    print(f"\n{title}\n")
    for i, row in enumerate(rows):
        print("| " + " | ".join(map(str, row)) + " |")
        if i == 0:
            print("|" + " --- |" * len(row))
