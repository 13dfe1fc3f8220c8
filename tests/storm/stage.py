"""What a storm strikes: a lab of two racks, dstrain on its user's side, and the looks that are taken at both."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))
import cluster  # noqa: E402
import processes  # noqa: E402

# As an init system would, a host starts its sshd again: a second after it died.
cluster.BOOT = cluster.BOOT.replace(f"exec {cluster.SSHD} -D -e", f"while :; do {cluster.SSHD} -D -e || :; sleep 1; done")

TOPOLOGY = """nic: 1gbit
uplink: 500mbit
racks:
  r1: h[1-2]
  r2: h[3-4]
overrides:
  h1: {slots: 2}
"""
RANKS = {"h1": [0, 1], "h2": [2], "h3": [3], "h4": [4]}
RACKS = {"r1": ["h1", "h2"], "r2": ["h3", "h4"]}
STEPS = 240

# Some 120 thousand parameters: a checkpoint of a megabyte, twenty of them in a few seconds.
RECIPE = f"""name: storm
data: {{format: synthetic, samples: 4000, features: 128, classes: 10, noise: 2}}
model: {{preset: mlp, hidden: [512, 100]}}
train: {{steps: {STEPS}, batch: 100, eval_every: 2, optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}}}
checkpoint: {{every: 12, keep: 2}}
transport: {{timeout: 8s}}
"""
CONNECT_S = 6  # the hosts file's connect_timeout


def wait_until(condition, seconds):
    """Whether it came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def parent_of(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


class Stage:
    def __init__(self, program, directory):
        self.dir = directory
        self.dir.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("LAB_DIR", str(self.dir / "labs"))
        self.lab = cluster.Cluster(f"storm-{os.getpid()}")
        self.program = self.dir / "dstrain"
        shutil.copy(program, self.program)
        subprocess.run(["strip", "--strip-debug", self.program], check=False, stderr=subprocess.DEVNULL)
        (self.dir / "recipe.yaml").write_text(RECIPE)
        self.run_dir = self.dir / "run"
        self.number = 0
        self.child = None
        self.said = self.dir / "said"

    def up(self):
        topology = self.dir / "topology.yaml"
        topology.write_text(TOPOLOGY)
        self.lab.up(topology)
        self.lab.load()
        self.hosts = list(self.lab.topology.hosts)
        self.namespaces = {host: processes.netns_id(cluster.NETNS / self.lab.netns(host))
                           for host in [*self.hosts, "ctl"]}
        text = (self.lab.dir / "hosts.yaml").read_text()
        (self.dir / "hosts.yaml").write_text(f"connect_timeout: {CONNECT_S}s\n{text}")

    def down(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
            self.child.wait()
        if self.lab.exists():
            self.lab.load()
            self.lab.down()

    # What runs where.

    def inside(self, host):
        return processes.inside({self.namespaces[host]})

    def workers(self, host):
        return sorted(pid for pid in self.inside(host) if "/dstrain/bin/" in executable(pid))

    def all_workers(self):
        return [pid for host in self.hosts for pid in self.workers(host)]

    def ours(self):
        """Every process of dstrain's, on every host and on the user's side."""
        mine = [pid for pid in self.inside("ctl") if executable(pid).startswith(str(self.program))]
        return mine + [pid for host in self.hosts for pid in self.started(host)]

    def started(self, host):
        """Whatever was started on a host over SSH: workers, shells, copies."""
        its_own = {self.lab.recorded(host), self.init(host)}
        return [pid for pid in self.inside(host) if pid not in its_own and executable(pid) not in (cluster.SSHD, "") and
                command_line(pid) != "sleep\0001\000"]

    def init(self, host):
        """The first process of a host."""
        holder = self.lab.recorded(host)
        children = [pid for pid in self.inside(host) if parent_of(pid) == holder]
        return children[0] if children else None

    def sshd(self, host):
        """The listening process of a host's sshd, and those of its sessions."""
        servers = [pid for pid in self.inside(host) if executable(pid) == cluster.SSHD]
        listening = [pid for pid in servers if "[listener]" in command_line(pid)]
        return listening, [pid for pid in servers if pid not in listening]

    def restart(self, host):
        """Switches a host on again that had been switched off."""
        wait_until(lambda: not self.inside(host), 60)
        shutil.rmtree(self.lab.dir / "hosts" / host / "tmp")
        self.lab.start_host(host)

    def answers(self):
        with processes.netns(cluster.NETNS / self.lab.netns("ctl")):
            return all(cluster.greets(str(self.lab.address(host))) for host in self.hosts)

    def forget_cache(self, host):
        shutil.rmtree(self.lab.dir / "hosts" / host / "home/.cache", ignore_errors=True)

    def link(self, name, state):
        namespace, interface = self.lab.end(name, "down")
        cluster.call("ip", "-n", namespace, "link", "set", interface, state)

    def rate(self, name, rate):
        for way in ("up", "down"):
            self.lab.shape(name, way, rate or self.lab.topology.rates[name].get(way))

    # A run.

    def start(self, *words):
        """Starts dstrain on the user's side, in the background."""
        with open(self.said, "wb") as said:
            self.child = subprocess.Popen(
                ["nsenter", f"--net={cluster.NETNS / self.lab.netns('ctl')}", "--", self.program, *words],
                cwd=self.dir, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)

    def ended(self):
        return self.child.poll() is not None

    def words(self):
        return self.said.read_text(errors="replace")

    def records(self, run_dir=None):
        try:
            lines = ((run_dir or self.run_dir) / "metrics.jsonl").read_text().splitlines()
        except OSError:
            return []
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                break  # a killed writer's last line
        return records

    def steps(self):
        try:
            return (self.run_dir / "metrics.jsonl").read_bytes().count(b'"kind":"step"')
        except OSError:
            return 0

    def checkpoints(self):
        return sorted((self.run_dir / "checkpoints").glob("step-*"), key=lambda path: int(path.name[5:]))

    def collecting(self):
        return list((self.run_dir / "checkpoints").glob(".step-*.tmp"))

    def fingerprint(self, run_dir):
        """What has to be the same bit for bit: the losses, the accuracies, and every file of the last checkpoint."""
        keys = ("kind", "step", "loss", "accuracy", "gradient_norm")
        losses = [tuple(record.get(key) for key in keys) for record in self.records(run_dir)]
        last = run_dir / "checkpoints" / f"step-{STEPS}"
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in last.glob("*.safetensors")}
        return losses, files


def torn(checkpoint):
    """What is wrong with a checkpoint that stands under its final name; None if nothing is."""
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        return f"{checkpoint.name}: {error}"
    for entry in manifest["files"]:
        try:
            digest = hashlib.sha256((checkpoint / entry["name"]).read_bytes()).hexdigest()
        except OSError as error:
            return f"{checkpoint.name}: {error}"
        if digest != entry["sha256"]:
            return f"{checkpoint.name}/{entry['name']}: its checksum is wrong"
    return None
