"""The topology file of a lab: its racks, its hosts and the rate of every link."""

import difflib
import ipaddress
import pathlib
import re

import yaml


class LabError(Exception):
    """Something the user can act on; its text is the one line that is printed."""


def check_mapping(value, keys=None):
    """Refuse what is not a mapping, or has a key that is not among keys (None: any key)."""
    if not isinstance(value, dict):
        raise LabError(f"'{value}' is not a mapping" + (f" with the keys {', '.join(keys)}" if keys else ""))
    for key in value:
        if keys and key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            raise LabError(f"unknown key '{key}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    return value


def check_rate(rate):
    """A rate as tc writes it, or None for an unshaped link."""
    if rate in (None, "none"):
        return None
    if not re.fullmatch(r"[1-9][0-9]*[kmg]bit", str(rate)):
        raise LabError(f"'{rate}' is not a rate such as 100mbit, 1gbit or none")
    return rate


def check_seconds(text):
    """A time such as 0.2ms, 2s or 1m."""
    parts = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *(us|ms|s|m|min|h|)", str(text))
    if not parts:
        raise LabError(f"'{text}' is not a time such as 0.2ms or 2s")
    return float(parts[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600}[parts[2]]


class Topology:
    """The tree of racks, the hosts on it, and what the file says of each."""

    def __init__(self, path):
        self.hosts = {}  # host: the rack it is in
        self.racks = {}  # rack: the rack it is in
        self.rates = {"ctl": {}}  # host, ctl or rack: {"up": rate, "down": rate}, up being towards the core
        self.slots = {}
        self.home_files = {}  # host: {path below its home: text}
        self.changes = []  # (seconds, host or rack, directions, rate), in order of time
        self.repeat = None  # seconds after which the changes begin anew
        self.has_delay = False
        try:
            self.read(yaml.safe_load(path.read_text()))
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise LabError(f"{path}: " + (f"line {mark.line + 1}: {error.problem}" if mark else "not YAML")) from error
        except (LabError, ValueError) as error:
            raise LabError(f"{path}: {error}") from error

    def read(self, doc):
        check_mapping(doc, ["network", "nic", "uplink", "delay", "hosts", "racks", "overrides", "changes", "repeat"])
        self.network = ipaddress.IPv4Network(doc.get("network", "10.77.0.0/16"))
        if self.network.prefixlen != 16:
            raise LabError(f"network '{self.network}' is not a /16")
        self.add_members("core", doc.get("hosts", []))
        self.add_members("core", check_mapping(doc.get("racks", {})))
        if not 1 <= len(self.hosts) <= 250:
            raise LabError(f"{len(self.hosts)} hosts; a lab has 1 to 250")
        for link in [*self.hosts, *self.racks]:
            self.set_rate(link, doc.get("nic" if link in self.hosts else "uplink"))
        for name, changes in check_mapping(doc.get("overrides", {})).items():
            try:
                self.override(name, changes)
            except LabError as error:
                raise LabError(f"overrides: {name}: {error}") from error
        self.has_delay |= "delay" in doc
        check_seconds(doc.get("delay", 0))
        self.read_changes(doc)

    def read_changes(self, doc):
        self.repeat = check_seconds(doc["repeat"]) if "repeat" in doc else None
        changes = doc.get("changes", [])
        if not isinstance(changes, list):
            raise LabError("changes: not a list of {at: TIME, link: NAME, rate: RATE}")
        for change in changes:
            if set(check_mapping(change, ["at", "link", "rate"])) != {"at", "link", "rate"}:
                raise LabError("changes: a change is {at: TIME, link: NAME, rate: RATE}")
            at, rate = check_seconds(change["at"]), check_rate(change["rate"])
            if self.repeat and at >= self.repeat:
                raise LabError(f"changes: '{change['at']}' is not before 'repeat'")
            self.changes.append((at, *self.split_link(str(change["link"])), rate))
        self.changes.sort(key=lambda change: change[0])

    def split_link(self, text):
        """Of a link's name such as h1, r1 or h1.up: the host or rack, and the directions meant."""
        link, _, way = text.partition(".")
        if link not in self.rates or way not in ("", "up", "down"):
            raise LabError(f"no link '{text}'; links are {', '.join(self.rates)}, "
                           "with .up or .down for one direction")
        return link, [way] if way else ["up", "down"]

    def add_members(self, rack, members):
        """Members are racks, a count (numbered on from the hosts so far), a range h[1-4], or a list of hosts."""
        if isinstance(members, dict):
            for inner, its_members in members.items():
                self.add(self.racks, inner, rack)
                self.add_members(inner, its_members)
            return
        if isinstance(members, int):
            members = [f"h{len(self.hosts) + number}" for number in range(1, members + 1)]
        for item in members if isinstance(members, list) else [members]:
            span = re.fullmatch(r"(.*)\[(\d+)-(\d+)\]", str(item))
            names = [f"{span[1]}{number}" for number in range(int(span[2]), int(span[3]) + 1)] if span else [item]
            for name in names:
                self.add(self.hosts, name, rack)

    def add(self, table, name, parent):
        # With ".down" added a name must still fit the 15 characters of an interface.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,9}", str(name)):
            raise LabError(f"'{name}' is not a name (a-z, 0-9 and -, at most 10 characters)")
        if name in self.hosts or name in self.racks or name in ("core", "ctl", "sw", "lo"):
            raise LabError(f"the name '{name}' is taken")
        table[name] = parent

    def set_rate(self, link, rate):
        """Set one rate for both directions, or {up: RATE, down: RATE} for those that change."""
        ways = check_mapping(rate, ["up", "down"]) if isinstance(rate, dict) else {"up": rate, "down": rate}
        self.rates.setdefault(link, {}).update({way: check_rate(ways[way]) for way in ways})

    def override(self, name, changes):
        if name not in self.rates:
            raise LabError("no such host or rack")
        host_keys = ["nic", "delay", "slots", "home_files"] if name in self.hosts else ["nic"]
        check_mapping(changes, ["uplink", "delay"] if name in self.racks else host_keys)
        self.has_delay |= "delay" in changes
        check_seconds(changes.get("delay", 0))
        for key in changes.keys() & {"nic", "uplink"}:
            self.set_rate(name, changes[key])
        if "slots" in changes:
            self.slots[name] = changes["slots"]
        self.home_files[name] = check_mapping(changes.get("home_files", {}))
        for path in map(pathlib.PurePath, self.home_files[name]):
            if path.is_absolute() or ".." in path.parts:
                raise LabError(f"home_files: '{path}' is not a path below the home")
