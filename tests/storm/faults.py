"""What can befall a run: for each fault its victims, what is done, what heals it, and what dstrain then owes its user."""

import os
import signal

from stage import CONNECT_S, RACKS, RANKS

# What the deadlines are made of; man/dstrain.1 promises the same.
SILENT_S = 3  # without a word from a worker it is lost (CONTROL_SILENT_S)
ALONE_S = 10  # without a word from dstrain a worker ends itself (ALONE_S in runtime/worker.c)
WORD_S = 0.5  # between two words of either (CONTROL_BEAT_S)
BLAME_S = 2  # after complaints about a peer, for the peer's own end to show
LEAVE_S = 2.75  # to tell the others, reap them, and kill over SSH those that do not end: 1 + 1 + 0.75
TRANSPORT_S = 8  # the recipe's transport.timeout: a peer that is alive but says nothing
COPY_S = 30  # a question to a host, or a copy to it, that does not move (QUERY_S, STALL_S)
COPY_GONE_S = 2 * COPY_S  # a copy on a host that nobody can tell of it: it looks every COPY_S whether it grows
SLACK_S = float(os.environ.get("SLACK", 2))  # ours: two processors carry five ranks, four sshd, and whatever else runs here

LOST = WORD_S + SILENT_S + LEAVE_S + SLACK_S  # 8.25 s
BLAMED = max(LOST, BLAME_S + LEAVE_S + SLACK_S)
CONNECTING = CONNECT_S + LEAVE_S + SLACK_S  # of a host that cannot be reached
PROVISIONING = COPY_S + CONNECT_S + LEAVE_S + SLACK_S  # of one that stalls after it was
SLOW = TRANSPORT_S + BLAME_S + LEAVE_S + SLACK_S  # of a link too slow for the data, but not for a word
GONE_S = SLACK_S  # workers whose dstrain ended, where the connection tells them


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Fault:
    """One kind. `lasts`: it is healed after so many seconds, and then must only have delayed."""

    lasts = None
    orchestrator = False  # dstrain itself is struck: no word of it is asked for
    during = LOST  # the deadline once all workers run
    before = CONNECTING  # until then
    alone = False  # workers cannot be told that it is over: they have ALONE_S
    trickles = False  # words still come through, until dstrain ends
    harmless = False  # once all workers run

    def victims(self, stage):
        return stage.hosts

    def strike(self, stage, victim, rng):
        raise NotImplementedError

    def heal(self, stage, victim):
        pass

    def named(self, victim):
        """Words of which the message must have one."""
        return [f"'{victim}'", f"{victim}: "]


class Signal(Fault):
    """A signal to processes of a host, and SIGCONT to heal."""

    def __init__(self, processes, number, **changes):
        self.processes = processes
        self.number = number
        self.__dict__.update(changes)

    def strike(self, stage, victim, rng):
        self.struck = self.processes(stage, victim, rng)
        send(self.struck, self.number)
        return bool(self.struck)

    def heal(self, stage, victim):
        if self.number == signal.SIGSTOP:
            send(self.struck, signal.SIGCONT)


class Own(Signal):
    """The same, to dstrain itself."""

    orchestrator = True

    def victims(self, stage):
        return ["ctl"]


class Both(Own):
    """dstrain and a worker at the same time."""

    def victims(self, stage):
        return stage.hosts


class Link(Fault):
    """A cable pulled, or hardly anything let through."""

    def __init__(self, victims, rate=None, **changes):
        self.links = victims
        self.rate = rate
        self.__dict__.update(changes)

    def victims(self, stage):
        return self.links

    def strike(self, stage, victim, rng):
        if self.rate:
            stage.rate(victim, self.rate)
        else:
            stage.link(victim, "down")
        return True

    def heal(self, stage, victim):
        if self.rate:
            stage.rate(victim, None)
        else:
            stage.link(victim, "up")

    def named(self, victim):
        hosts = RACKS.get(victim, list(RANKS) if victim == "ctl" else [victim])
        return [word for host in hosts for word in (f"'{host}'", f"{host}: ", f"({host})")] + ["hosts cannot be used"]


class Power(Fault):
    """A host is switched off at the wall: its first process dies, and with it every other."""

    def strike(self, stage, victim, rng):
        send([stage.init(victim)], signal.SIGKILL)
        return True

    def heal(self, stage, victim):
        stage.restart(victim)


def one_worker(stage, host, rng):
    workers = stage.workers(host)
    return [rng.choice(workers)] if workers else []


def every_worker(stage, host, rng):
    return stage.workers(host)


def listener(stage, host, rng):
    return stage.sshd(host)[0]


def sessions(stage, host, rng):
    return stage.sshd(host)[1]


def dstrain(stage, victim, rng):
    return [] if stage.ended() else [stage.child.pid]


def dstrain_and_worker(stage, host, rng):
    return dstrain(stage, host, rng) + one_worker(stage, host, rng)


KILL, STOP = signal.SIGKILL, signal.SIGSTOP
HOSTS = list(RANKS)
cut_off = {"alone": True, "before": PROVISIONING}
slow = {"alone": True, "before": PROVISIONING, "during": SLOW, "trickles": True}

# Fault, and how often it comes.
FAULTS = {
    "worker-kill": (Signal(one_worker, KILL), 6),
    "workers-kill": (Signal(every_worker, KILL), 2),
    "worker-stop": (Signal(one_worker, STOP, before=TRANSPORT_S + LOST), 4),
    "worker-pause": (Signal(one_worker, STOP, lasts=1.5), 2),
    "dstrain-kill": (Own(dstrain, KILL, during=GONE_S), 6),
    "dstrain-pause": (Own(dstrain, STOP, lasts=2), 2),
    "dstrain-stop": (Own(dstrain, STOP, alone=True, during=ALONE_S + GONE_S), 2),
    "both-kill": (Both(dstrain_and_worker, KILL, during=GONE_S), 4),
    "host-off": (Power(), 4),
    "session-kill": (Signal(sessions, KILL), 4),
    "session-stop": (Signal(sessions, STOP, **cut_off), 3),
    "session-pause": (Signal(sessions, STOP, lasts=1.5), 2),
    "listener-kill": (Signal(listener, KILL, harmless=True), 2),
    "listener-stop": (Signal(listener, STOP, harmless=True), 2),
    "link-down": (Link(HOSTS, **cut_off), 4),
    "link-flap": (Link(HOSTS, lasts=0.7), 2),
    "link-slow": (Link(HOSTS, "1kbit", **slow), 3),
    "uplink-down": (Link(list(RACKS), **cut_off), 3),
    "uplink-slow": (Link(list(RACKS), "1kbit", **slow), 2),
    "ctl-down": (Link(["ctl"], **cut_off), 2),
    "ctl-slow": (Link(["ctl"], "1kbit", **slow), 2),
}
