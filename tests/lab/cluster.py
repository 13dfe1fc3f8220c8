"""A virtual cluster: network namespaces joined by bridges, with an OpenSSH server in each host."""

import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import zlib

import yaml

import processes
from topology import LabError, Topology

NETNS = pathlib.Path("/run/netns")
SSHD = "/usr/sbin/sshd"
READY_S = 60  # how long the ssh servers may take to answer
KILL_S = 60  # how long killed processes may take to vanish
PACKAGES = {"ip": "iproute2", "tc": "iproute2", "unshare": "util-linux", "nsenter": "util-linux",
            "ssh-keygen": "openssh-client", SSHD: "openssh-server"}

# What a host does when it starts: $1 is its name, $2 its state directory. Each path below is mounted from there, so
# that hosts share no file they could write by accident. -c: the mounts hide the very directory they come from, and
# only a relative path still reaches it.
BOOT = """
set -e
hostname "$1"
cd "$2"
mount -c --bind home /root
mount -c --bind tmp /tmp
mount -c --bind ssh /etc/ssh
[ ! -e /etc/hosts ] || mount -c --bind hosts /etc/hosts
mount -c --bind shadow /etc/shadow
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir /run/sshd
cd /root
exec """ + SSHD + " -D -e\n"

SSHD_CONFIG = """HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
"""


def call(*argv, text=None):
    """Run a command, with text on its standard input; return its output, or raise with its first complaint."""
    done = subprocess.run(argv, input=text or "", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
        raise LabError(f"{shlex.join(argv)}: {reason}")
    return done.stdout


def parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(function, items))


def greets(address):
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def root_directory():
    return pathlib.Path(os.environ.get("LAB_DIR") or
                        os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/tmp", "dstrain-lab")).resolve()


class Cluster:
    """A lab, by its name: a state directory and the namespaces that carry its prefix."""

    def __init__(self, name):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", name):
            raise LabError(f"'{name}' is not a lab name (letters, digits, - and _)")
        self.name = name
        self.dir = root_directory() / name
        # Labs of one name in different state directories are different labs; names have no dot.
        self.prefix = f"{name}.{zlib.crc32(bytes(self.dir)):08x}."
        self.topology = None

    def netns(self, host):
        return self.prefix + host

    def namespaces(self):
        return sorted(path.name for path in NETNS.glob(self.prefix + "*"))

    def exists(self):
        return self.dir.exists() or bool(self.namespaces())

    def load(self):
        if not (self.dir / "hosts.yaml").exists():
            raise LabError(f"lab '{self.name}' is not up" +
                           (f"; remove what is left of it with: lab down {self.name}" if self.exists() else ""))
        self.topology = Topology(self.dir / "topology.yaml")
        return self

    def address(self, host):
        if host == "ctl":
            return self.topology.network[255 * 256 + 1]
        return self.topology.network[list(self.topology.hosts).index(host) + 1]

    def end(self, link, way):
        """The namespace and interface through which packets leave for one direction of a link."""
        if link in self.topology.racks:
            return self.netns("sw"), f"{link}.{way}"
        return (self.netns(link), "eth0") if way == "up" else (self.netns("sw"), link)

    def up(self, topology_path):
        for program, package in PACKAGES.items():
            if not shutil.which(program):
                raise LabError(f"'{program}' is missing (Debian: {package})")
        self.topology = Topology(topology_path)
        if self.exists():
            raise LabError(f"lab '{self.name}' is already up; take it down with: lab down {self.name}")
        self.dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.dir.parent.stat().st_uid != os.geteuid():
            raise LabError(f"{self.dir.parent} belongs to another user")
        self.dir.mkdir(mode=0o700)
        os.umask(0o022)  # sshd refuses a home that others may write to
        try:
            shutil.copy(topology_path, self.dir / "topology.yaml")
            self.make_network()
            self.make_keys()
            self.start_hosts()
            self.write_client_files()
        except BaseException:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self.down()
            raise

    def make_network(self):
        topology, hosts = self.topology, ["ctl", *self.topology.hosts]
        call("ip", "-batch", "-", text="".join(f"netns add {self.netns(host)}\n" for host in ["sw", *hosts]))
        switch = [f"link add {bridge} up type bridge" for bridge in ["core", *topology.racks]]
        for rack, parent in topology.racks.items():
            switch += [f"link add {rack}.up up master {rack} type veth peer name {rack}.down",
                       f"link set {rack}.down up master {parent}"]
        for host in hosts:
            bridge = topology.hosts.get(host, "core")
            switch += [f"link add {host} up master {bridge} type veth peer name eth0 netns {self.netns(host)}"]
        call("ip", "-n", self.netns("sw"), "-batch", "-", text="\n".join(switch))
        parallel(self.make_nic, hosts)
        parallel(lambda link: [self.shape(link, way, rate) for way, rate in topology.rates[link].items() if rate],
                 topology.rates)

    def make_nic(self, host):
        address = f"{self.address(host)}/{self.topology.network.prefixlen}"
        call("ip", "-n", self.netns(host), "-batch", "-",
             text=f"link set lo up\nlink set eth0 up\naddress add {address} brd + dev eth0\n")

    def shape(self, link, way, rate):
        namespace, interface = self.end(link, way)
        queue = "noqueue"
        if rate:
            scale = {"k": 1e3, "m": 1e6, "g": 1e9}[rate[-4]]
            # A millisecond's worth, so that even a short message meets the rate.
            burst = max(int(rate[:-4]) * scale / 8 / 1000, 32 * 1024)
            queue = f"tbf rate {rate} burst {burst:.0f} latency 50ms"
        call("tc", "-n", namespace, *f"qdisc replace dev {interface} root {queue}".split())

    def make_keys(self):
        keys = [(self.dir / "id_rsa", "rsa", "2048"), (self.dir / "id_ed25519", "ed25519", "256")]
        for host in self.topology.hosts:
            ssh = self.dir / "hosts" / host / "ssh"
            ssh.mkdir(parents=True)
            keys.append((ssh / "ssh_host_ed25519_key", "ed25519", "256"))
        parallel(lambda key: call("ssh-keygen", "-q", "-N", "", "-C", f"lab {self.name}",
                                  "-f", str(key[0]), "-t", key[1], "-b", key[2]), keys)

    def host_key(self, host):
        words = (self.dir / "hosts" / host / "ssh/ssh_host_ed25519_key.pub").read_text().split()
        return " ".join(words[:2])

    def start_hosts(self):
        """Start every host and return once all of them greet the user's side."""
        waiting = {host: self.start_host(host) for host in self.topology.hosts}
        deadline = time.monotonic() + READY_S
        with processes.netns(NETNS / self.netns("ctl")):
            while waiting:
                for host, server in waiting.items():
                    if server.poll() is not None:
                        log = (self.dir / "hosts" / host / "sshd.log").read_text().splitlines()
                        raise LabError(f"{host}: did not start: {log[-1] if log else 'no message'}")
                waiting = {host: server for host, server in waiting.items() if not greets(str(self.address(host)))}
                if time.monotonic() > deadline:
                    raise LabError(f"{', '.join(waiting)}: no answer from sshd in {READY_S} s")
                time.sleep(0.01)

    def start_host(self, host):
        place = self.dir / "hosts" / host
        files = {"ssh/sshd_config": SSHD_CONFIG,
                 "shadow": "root:*:19000:0:99999:7:::\n",  # sshd refuses a locked root, which some systems have
                 "hosts": self.etc_hosts(host),
                 "home/.ssh/authorized_keys":
                     (self.dir / "id_ed25519.pub").read_text() + (self.dir / "id_rsa.pub").read_text()}
        files.update({f"home/{path}": text for path, text in self.topology.home_files.get(host, {}).items()})
        for path, text in files.items():
            (place / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (place / path).write_text(text)
        (place / "tmp").mkdir()
        (place / "tmp").chmod(0o1777)
        with open(place / "sshd.log", "w", encoding="utf-8") as log:
            server = subprocess.Popen(
                ["ip", "netns", "exec", self.netns(host), "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork",
                 "--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh", host, place],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (place / "pid").write_text(f"{server.pid} {processes.start_time(server.pid)}\n")
        return server

    def etc_hosts(self, host):
        """As Debian's installer writes it: the host's own name is a loopback address, the trap that it is."""
        others = "".join(f"{self.address(other)} {other}\n" for other in self.topology.hosts if other != host)
        return f"127.0.0.1 localhost\n127.0.1.1 {host}\n{others}"

    def write_client_files(self):
        topology = self.topology
        known_hosts = [f"{self.address(host)},{host} {self.host_key(host)}\n" for host in topology.hosts]
        (self.dir / "known_hosts").write_text("".join(known_hosts))
        aliases = [f"Host {host}\n\tHostName {self.address(host)}\n" for host in topology.hosts]
        (self.dir / "ssh_config").write_text(
            "".join(aliases) + f"Host *\n\tUser root\n\tIdentityFile \"{self.dir}/id_ed25519\"\n\tIdentitiesOnly yes\n"
            f"\tUserKnownHostsFile \"{self.dir}/known_hosts\"\n\tGlobalKnownHostsFile /dev/null\n"
            "\tStrictHostKeyChecking yes\n\tBatchMode yes\n")
        slots = {host: {"slots": topology.slots[host]} if host in topology.slots else {} for host in topology.hosts}
        doc = {"network": str(topology.network), "user": "root", "identity": f"{self.dir}/id_ed25519",
               "known_hosts": f"{self.dir}/known_hosts",
               "hosts": {host: {"address": str(self.address(host)), **slots[host]} for host in topology.hosts}}
        # Written last: it says that the lab is ready.
        (self.dir / "hosts.yaml").write_text(yaml.safe_dump(doc, sort_keys=False, default_flow_style=None))

    def recorded(self, host):
        """The pid of the process that holds a host, or None when it has ended."""
        try:
            pid, start = (self.dir / "hosts" / host / "pid").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if processes.start_time(pid) == int(start) else None

    def down(self):
        if not self.exists():
            raise LabError(f"lab '{self.name}' is not up")
        ours = {processes.netns_id(NETNS / name) for name in self.namespaces()} - {None}
        if processes.netns_id("/proc/self/ns/net") in ours:
            raise LabError(f"lab '{self.name}' cannot be taken down from inside itself")
        for host in self.dir.glob("hosts/*"):
            pid = self.recorded(host.name)
            if pid:
                processes.kill(pid, lambda pid, host=host.name: self.recorded(host) == pid)
        deadline = time.monotonic() + KILL_S
        while left := processes.inside(ours):
            if time.monotonic() > deadline:
                raise LabError(f"processes {left} of lab '{self.name}' do not end")
            for pid in left:
                processes.kill(pid, lambda pid: processes.netns_id(f"/proc/{pid}/ns/net") in ours)
            time.sleep(0.005)
        call("ip", "-batch", "-", text="".join(f"netns delete {name}\n" for name in self.namespaces()))
        if self.dir.exists():
            shutil.rmtree(self.dir)
