#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mortise ctl` and the control sockets of running machines: names, words, events, roles, several clients; what is no
request, clients that do not read, sockets that dead machines left."""
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bare"))
import gdb as bare  # noqa: E402
import machines as m  # noqa: E402

SECONDS = bare.run.SECONDS


class Running:
    """A machine whose program never ends."""

    def __init__(self, folder, elf, text=""):
        self.board = os.path.join(folder, "lab.ini")
        with open(self.board, "w", encoding="utf-8") as f:
            f.write(f"[machine]\nschema = 1\nbase = virt-riscv64\n{text}")
        words = {"boot.kernel": elf, "boot.firmware": "", "boot.append": "", "ram.size": "64M", "cpu.count": 3}
        command = [m.EMULATOR, "run", "-q", self.board]
        for k, v in words.items():
            command += ["-s", f"{k}={v}"]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.name = f"lab.{self.process.pid}"
        self.path = os.path.join(os.environ["XDG_RUNTIME_DIR"], "mortise", self.name + ".sock")
        end = time.monotonic() + SECONDS
        while not os.path.exists(self.path):
            m.check(self.process.poll() is None and time.monotonic() < end, "the socket does not come")
            time.sleep(0.02)

    def ended(self, status):
        text = self.process.communicate(timeout=SECONDS)[0].decode(errors="replace")
        m.check(self.process.returncode == status, f"{self.name} ended with {self.process.returncode}: {text}")
        m.check(not os.path.lexists(self.path), f"{self.path} is left")


def ctl(*words, status=0):
    done = subprocess.run([m.EMULATOR, "ctl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
                          check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    m.check(done.returncode == status, f"ctl {words}: status {done.returncode}: {out}{err}")
    return out if status == 0 else out + err


class Client:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(SECONDS)
        self.s.connect(path)
        self.file = self.s.makefile("rb")
        self.greeting = self.read()

    def read(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, request):
        self.s.sendall((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
        while "event" in (answer := self.read()):
            pass
        return answer

    def event(self, name):
        while (got := self.read()).get("event") != name:
            m.check("event" in got, f"{got}, not the event {name}")
        return got


def names(folder, elf):
    one = Running(folder, elf)
    m.check("lab" in ctl() and "running" in ctl(), "the list")
    m.check(ctl("lab") == "running\n" and ctl(one.name, "status") == "running\n", "the status by name")
    two = Running(folder, elf)
    told = ctl("lab", "quit", status=1)
    m.check("2 machines are called 'lab'" in told and one.name in told and two.name in told, told)
    told = ctl("nosuch", "status", status=1)
    m.check("no machine called 'nosuch'" in told and one.name in told, told)
    m.check(len(json.loads(ctl("--json"))) == 2, "the list in JSON")
    ctl(str(two.process.pid), "quit")
    two.ended(0)
    # one that is killed leaves its socket, which the next look removes
    one.process.kill()
    one.process.communicate()
    m.check(os.path.exists(one.path) and "lab" not in ctl() and not os.path.exists(one.path), "a dead machine's socket")


def words(folder, elf):
    machine = Running(folder, elf)
    mode = stat.S_IMODE(os.stat(machine.path).st_mode)
    m.check(mode == 0o600, f"the socket has mode {mode:o}")
    # pylint: disable-next=consider-using-with
    events = subprocess.Popen([m.EMULATOR, "ctl", "lab", "events"], stdout=subprocess.PIPE)
    client = Client(machine.path)
    while json.loads(ctl("lab", '{"execute": "query-status"}'))["return"]["status"] != "running":
        pass
    m.check(client.greeting["mortise"]["name"] == "lab" and client.greeting["mortise"]["role"] == "admin", "greeting")
    time.sleep(0.3)   # until the follower is there
    ctl("lab", "pause")
    client.event("STOP")
    m.check(ctl("lab") == "paused\n", "paused")
    pcs = [c["pc"] for c in json.loads(ctl("lab", "cpus", "--json"))]
    time.sleep(0.1)
    m.check(pcs == [c["pc"] for c in json.loads(ctl("lab", "cpus", "--json"))] and len(pcs) == 3, "it runs while paused")
    ctl("lab", "pause")
    ctl("lab", "reset")
    client.event("RESET")
    m.check(ctl("lab") == "paused\n", "a reset starts a paused machine")
    m.check(json.loads(ctl("lab", "cpus", "--json"))[0]["pc"] == 0x80000000, "the reset's pc")
    ctl("lab", "resume")
    client.event("RESUME")
    m.check(ctl("lab", "resume") == "" and ctl("lab") == "running\n", "resumed")
    m.check(re.search(r"^uart0 +device +dev-uart16550", ctl("lab", "devices"), re.M), "devices")
    m.check("no driver for the power button" in ctl("lab", "powerdown", status=1), "powerdown")
    m.check("did you mean 'status'" in ctl("lab", "statsu", status=2), "a suggestion")
    m.check("one word too many" in ctl("lab", "pause", "now", status=2), "a word too many")
    m.check("needs a word more: dir" in ctl("lab", "snapshot", status=2), "a word too few")
    ctl("lab", "snapshot", os.path.relpath(os.path.join(folder, "saved")))
    m.check(os.path.isdir(os.path.join(folder, "saved")) and ctl("lab") == "running\n", "a snapshot")
    m.check("saved" in ctl("lab", "snapshot", os.path.join(folder, "saved"), status=1), "a snapshot that is there already")
    commands = {c["name"] for c in json.loads(ctl("lab", "commands", "--json"))}
    m.check({"query-status", "stop", "cont", "quit"} <= commands, f"commands: {commands}")
    ctl("lab", "quit")
    m.check(client.event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-quit", "code": 0}, "shutdown")
    machine.ended(0)
    told = events.communicate(timeout=SECONDS)[0].decode()
    m.check(re.findall(r"\d (\w+)", told) == ["STOP", "RESET", "RESUME", "SHUTDOWN"], f"events: {told}")


def stats(folder, elf):
    """Of disks that nobody uses."""
    image = os.path.join(folder, "disk.img")
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    machine = Running(folder, elf, f"[block disk]\nplugin = block-raw\nfile = {image}\n[device vda]\n"
                      "plugin = dev-virtio-blk\nbus = slot1\nblock = disk\n")
    rows = ctl("lab", "stats").splitlines()
    m.check(len(rows) == 2 and rows[0].split()[:3] == ["DEVICE", "READS", "READ"], f"the table: {rows}")
    m.check(rows[1].split() == ["vda"] + ["0"] * 8 + ["-", "-"], f"the row: {rows[1]}")
    rows = ctl("lab", "stats", "disk", "--interval", "0.05", "--count", "3").splitlines()
    m.check(len(rows) == 6 and rows[4].split()[1] == "READS/s" and rows[5].split()[:3] == ["vda", "0.0", "0.0"], f"rates: {rows}")
    told = json.loads(ctl("lab", "stats", "vda", "--json"))
    m.check(told[0]["node-name"] == "disk" and told[0]["stats"]["rd_operations"] == 0, f"in JSON: {told}")
    m.check("no disk 'vdb'" in ctl("lab", "stats", "vdb", status=1), "a disk that is not there")
    m.check("it needs --interval" in ctl("lab", "stats", "-n", "3", status=2), "a count of nothing")
    m.check("no interval" in ctl("lab", "stats", "-i", "often", status=2), "a wrong interval")
    m.check("is for stats" in ctl("lab", "status", "-i", "1", status=2), "an interval of another command")
    m.check("one word too many" in ctl("lab", "stats", "vda", "vdb", status=2), "a word too many")
    # pylint: disable-next=consider-using-with
    follower = subprocess.Popen([m.EMULATOR, "ctl", "lab", "stats", "-i", "0.05"], stdout=subprocess.PIPE)
    follower.stdout.readline()
    ctl("lab", "quit")
    machine.ended(0)
    follower.communicate(timeout=SECONDS)
    m.check(follower.returncode == 0, "a follower ends with the machine")


def wrong(folder, elf):
    """What is no request is told so; who asks stays connected, and the machine runs."""
    view, control = os.path.join(folder, "view"), os.path.join(folder, "control")
    machine = Running(folder, elf, f"[monitor]\nsocket = {control}\nviewer = {view}\n")
    m.check(os.path.islink(machine.path) and ctl("lab") == "running\n" and ctl(control) == "running\n", "by link and by path")
    client = Client(control)
    for request, class_, text in [(b"garbage", "GenericError", "no JSON"), (b"[]", "GenericError", "is an object"),
                                  (b"{", "GenericError", "no JSON"), (b"\x00\xff", "GenericError", "no JSON"),
                                  (b"[" * 60000, "GenericError", "too deeply"),
                                  ({"execute": "no-such"}, "CommandNotFound", "no command"),
                                  ({"execute": 5}, "GenericError", "no \"execute\""), ({}, "GenericError", "no \"execute\""),
                                  ({"execute": "stop", "more": 1}, "GenericError", "no member 'more'"),
                                  ({"execute": "stop", "arguments": []}, "GenericError", "must be an object"),
                                  ({"execute": "stop", "arguments": {"x": 1}}, "GenericError", "no argument 'x'")]:
        error = client.ask(request)["error"]
        m.check(error["class"] == class_ and text in error["desc"], f"{request[:80] if len(request) > 80 else request}: {error}")
    m.check(client.ask({"execute": "query-status", "id": [1, {"a": "\u00e9"}]})["id"] == [1, {"a": "\u00e9"}], "the id")
    # requests cut anywhere, and several at once
    for c in b'{"execute":"query-name"}\n':
        client.s.sendall(bytes([c]))
    m.check(client.read()["return"]["name"] == "lab", "byte by byte")
    client.s.sendall(b'{"execute":"query-status","id":1}\n{"execute":"query-status","id":2}\r\n\n')
    m.check([client.read()["id"], client.read()["id"]] == [1, 2], "two at once")
    viewer = Client(view)
    m.check(viewer.greeting["mortise"]["role"] == "viewer", "the viewer's role")
    m.check("return" in viewer.ask({"execute": "query-devices"}), "a viewer's query")
    for name in ("stop", "quit", "system_reset"):
        m.check(viewer.ask({"execute": name})["error"]["class"] == "NotPermitted", f"a viewer may {name}")
    # a line without end, and one who asks and never listens: both are let go
    endless = Client(control)
    try:
        for _ in range(64):
            endless.s.sendall(b"x" * 4096)
    except OSError:
        pass
    deaf = socket.socket(socket.AF_UNIX)
    deaf.settimeout(SECONDS)
    deaf.connect(control)
    try:
        for _ in range(40000):
            deaf.sendall(b'{"execute":"query-devices"}\n' * 20)
        raise m.console.Failure("a client that does not listen is kept")
    except (BrokenPipeError, ConnectionResetError):
        pass
    m.check(client.ask({"execute": "query-status"})["return"]["running"], "the machine has stopped")
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for s in crowd:
        s.connect(control)
    m.check("running" in client.ask({"execute": "query-status"})["return"], "in a crowd")
    for s in crowd:
        s.close()
    # another machine does not take a socket that is in use
    done = subprocess.run([m.EMULATOR, "run", "-q", machine.board, "-s", "boot.kernel=" + elf, "-s", "boot.firmware="],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                          check=False)
    m.check(done.returncode and b"another process listens there" in done.stdout, f"a socket in use: {done.stdout}")
    machine.process.kill()
    machine.process.communicate()
    # and one that a killed machine left is replaced
    again = Running(folder, elf, f"[monitor]\nsocket = {control}\n")
    m.check(Client(control).ask({"execute": "quit"}) == {"return": {}}, "quit")
    again.ended(0)
    m.check(not os.path.exists(control), "the socket is left")


def test(folder):
    m.need_emulator()
    os.environ["XDG_RUNTIME_DIR"] = os.path.join(folder, "run")
    os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)
    m.check(ctl() == f"{'NAME':24} {'PID':8} STATUS\n" and json.loads(ctl("--json")) == [], "nothing runs")
    m.check("nor any other" in ctl("lab", status=1), "nothing runs")
    elf = bare.build(folder, "FOREVER")
    for part in (names, words, stats, wrong):
        m.step(part.__name__)
        part(folder, elf)


if __name__ == "__main__":
    m.main(test)
