"""The programs that a benchmark of allreduce sets side by side: building and running them.

Each function returns {bytes: microseconds}: of each iteration the slowest rank's time, and of
those the median. All warm up alike, and start their iterations from a barrier.
"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.join(ROOT, "build", "bench")
DSTRAIN = os.path.realpath(os.environ.get("DSTRAIN", os.path.join(ROOT, "dstrain")))
LIMIT_S = 900

PROGRAMS = {
    "floors": ["gcc", "-std=gnu11", "-O2", "-I.", "tests/bench/floors.c", "build/libdstrain.a",
               "-lcrypto", "-pthread"],
    "peer_gloo": ["g++", "-O3", "-march=native", "-I.", "tests/bench/peer_gloo.cc", "-lgloo",
                  "-pthread"],
    "peer_mpi": ["mpicxx", "-O3", "-march=native", "-I.", "tests/bench/peer_mpi.cc"],
}


def build():
    subprocess.run(["tests/deps", "bench"], cwd=ROOT, check=True)
    subprocess.run(["make", "-s", "all", "build/libdstrain.a"], cwd=ROOT, check=True)
    os.makedirs(BUILD, exist_ok=True)
    for name, command in PROGRAMS.items():
        subprocess.run(command + ["-o", os.path.join(BUILD, name)], cwd=ROOT, check=True)


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")
    return done.stdout


def floors():
    """[(name, value, unit)]"""
    return [line.split() for line in output_of([os.path.join(BUILD, "floors")]).splitlines()]


def best_of(lines):
    """The faster algorithm for each size, of "NAME BYTES MICROSECONDS WRONG" lines."""
    best = {}
    for line in lines.splitlines():
        name, size, took, wrong = line.split()
        if wrong != "0":
            sys.exit(f"{name}: {wrong} wrong elements of {size} bytes")
        best[int(size)] = min(float(took), best.get(int(size), float("inf")))
    return best


def dstrain(hosts, sizes, iterations, settings=(), prefix=()):
    """`sizes` grow by one factor."""
    factor = sizes[1] // sizes[0] if len(sizes) > 1 else 2
    command = list(prefix) + [DSTRAIN, "bench", "allreduce", "-H", hosts, "-b", str(sizes[0]), "-e",
                              str(sizes[-1]), "-f", str(factor), "-n", str(iterations), "--json"]
    for setting in settings:
        command += ["--set", setting]
    rows = json.loads(output_of(command))["rows"]
    assert [row["size"] for row in rows] == list(sizes) and not any(r["wrong"] for r in rows)
    return {row["size"]: row["time_us"] for row in rows}


def gloo(addresses, sizes, iterations, prefixes=None):
    """A rank at each address, started through its prefix."""
    program = os.path.join(BUILD, "peer_gloo")
    with tempfile.TemporaryDirectory(dir=BUILD) as meeting:
        ranks = []
        for rank, address in enumerate(addresses):
            command = [program, rank, len(addresses), meeting, address, iterations, *sizes]
            prefix = prefixes[rank] if prefixes else []
            ranks.append(subprocess.Popen(prefix + [str(word) for word in command],
                                          stdout=subprocess.PIPE, text=True))
        out = [rank.communicate(timeout=LIMIT_S)[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit("peer_gloo failed")
    return best_of(out[0])


def mpi(world, sizes, iterations, transport):
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
               "--mca", "pml", "ob1", "--mca", "btl", f"{transport},self"]
    if transport == "tcp":
        command += ["--mca", "btl_tcp_if_include", "lo"]
    command += ["-n", str(world), os.path.join(BUILD, "peer_mpi"), str(iterations)]
    return best_of(output_of(command + [str(size) for size in sizes]))
