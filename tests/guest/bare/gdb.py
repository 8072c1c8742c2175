#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's gdb-multiarch on a bare-metal program of three harts: breaks by name and address, watches every kind of access,
steps into, over and out of translated loops, looks at each hart, changes memory, code and registers, and lets go. Then what
no GDB says: bad packets, requests out of order, a debugger that is cut off."""
import os
import re
import shutil
import socket
import subprocess
import time

import run
import debugger
import machines as m

HARTS = 3

# What GDB is told, and what it must then print: in order, gaps are fine.
SESSION = [
    ("info threads", r'1 +Thread 1 "vcpu0".*_start'),
    ("break bump", r"Breakpoint 1 at"),
    ("continue", r"Thread 1 \"vcpu0\" hit Breakpoint 1, bump \(by=.*1\)"),
    ("backtrace 2", r"#1 .* run \(\)"),
    ("print watched", r"\$1 = 0"),
    ("finish", r"Value returned is \$2 = 1"),
    ("thread apply all print $pc", r"Thread 3.*\n.*<count\+\d+>(.|\n)*Thread 2.*\n.*<count\+\d+>(.|\n)*Thread 1.*\n.*<run\+"),
    # the other harts count on while this one is let go, and stand still while it is looked at
    ("set $before = turns[1]", r""),
    ("print turns[1] - $before", r"\$6 = 0"),
    # over a loop that was translated, by lines and by instructions
    ("delete", r""),
    ("break sum_loop", r"Breakpoint 2 at"),
    ("continue", r"hit Breakpoint 2, sum_loop \(n=.*100\)"),
    ("delete", r""),
    ("stepi 50", r""),
    ("print $pc > (long)&sum_loop && $pc < (long)&atomically", r"\$7 = 1"),
    ("tbreak stages", r"Temporary breakpoint 3"),
    ("continue", r"hit Temporary breakpoint 3, stages \(sum=338350\)"),
    ("watch untouched", r"Hardware watchpoint 4"),
    ("awatch atomic_word", r"Hardware access \(read/write\) watchpoint 5"),
    ("continue", r"hit Hardware watchpoint 4: untouched\n\nOld value = 0\nNew value = 5"),
    ("continue", r"hit Hardware access \(read/write\) watchpoint 5: atomic_word\n\nOld value = 0\nNew value = 3"),
    ("rwatch watched", r"Hardware read watchpoint 6: watched"),
    ("continue", r"hit Hardware read watchpoint 6: watched\n\nValue = 3"),
    ("delete", r""),
    # another hart alone, and the variable that it writes all the time
    ("thread 3", r"Switching to thread 3"),
    ("set scheduler-locking on", r""),
    ("watch turns[2]", r"Hardware watchpoint 7"),
    ("continue", r"Thread 3 \"vcpu2\" hit Hardware watchpoint 7: turns\[2\]"),
    ("delete", r""),
    ("set scheduler-locking off", r""),
    ("info registers mhartid priv", r"mhartid +0x2\D.*\n.*priv +0x3\D"),
    # memory, by hand; code too, which takes effect at once although it was translated
    ("set variable text_seen = 99", r""),
    ("print text_seen", r"\$8 = 99"),
    ("set variable go_on = 0x1234", r""),
    ("print/x *(unsigned *)0x80000000", r"\$9 = 0x"),
    ("print *(int *)0x10", r"Cannot access memory at address 0x10"),
    ("thread 1", r"Switching to thread 1"),
    ("set $a7 = 0x123456789abcdef0", r""),
    ("print/x $a7", r"\$10 = 0x123456789abcdef0"),
    ("set $fa0 = 1.5", r""),
    ("print $fa0", r"double = 1.5"),
    ("print/x $mstatus & 0x6000", r"\$12 = 0x6000"),
    ("monitor translate 80001000", r"^0x80001000$"),
    ("monitor info devices", r"uart0 +dev-uart16550"),
    ("monitor step-interrupts on", r"interrupts are taken while stepping"),
    ("monitor bogus", r"'bogus' is none of these"),
    ("detach", r"detached"),
]


def build(folder, *defines):
    if not shutil.which(m.CROSS):
        raise m.Skip(f"{m.CROSS} is missing")
    path = os.path.join(folder, "gdb" + "".join(defines))
    subprocess.run([m.CROSS, *run.FLAGS, "-g", "-O1", f"-DWANT_HARTS={HARTS}", *("-D" + d for d in defines),
                    "-Wl,-T," + os.path.join(run.SOURCE, "link.ld"), "-o", path,
                    *(os.path.join(run.SOURCE, f) for f in ("start.S", "rt.c", "gdb.c"))], check=True)
    return path


def start(elf, backend, path, *more):
    words = {"boot.kernel": elf, "boot.firmware": "", "boot.append": "", "ram.size": "64M", "cpu.count": HARTS,
             "cpu.backend": backend, "monitor.socket": "off"}
    command = [m.EMULATOR, "run", "-q", "virt-riscv64", "--gdb", "unix:" + path, *more]
    for k, v in words.items():
        command += ["-s", f"{k}={v}"]
    # pylint: disable-next=consider-using-with
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path):
    end = time.monotonic() + run.SECONDS
    while not os.path.exists(path):
        m.check(time.monotonic() < end, "the debugger's socket does not come")
        time.sleep(0.02)


def finished(machine, what):
    """The machine ends by itself, and well."""
    try:
        text = machine.communicate(timeout=run.SECONDS)[0].decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired:
        machine.kill()
        raise m.console.Failure(f"{what}: the machine does not end") from None
    return run.good((text, machine.returncode), what)


def session(folder, elf, backend):
    path = os.path.join(folder, "gdb-" + backend)
    machine = start(elf, backend, path, "--wait")
    wait_for(path)
    try:
        debugger.talk(folder, [f"file {elf}", f"set tcp connect-timeout {run.SECONDS}", f"target remote {path}"], SESSION,
                      4 * run.SECONDS, backend)
    except m.console.Failure:
        machine.kill()
        raise
    out = finished(machine, f"gdb on {backend}")
    m.check("watched 7 atomic 3 seen 7" in out, f"{backend}: another result:\n{out}")


class Peer:
    """The other side by hand."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(run.SECONDS)
        self.s.connect(path)
        self.buffer = b""

    def read(self):
        """The next packet's data, or a + or -."""
        while True:
            if self.buffer[:1] in (b"+", b"-"):
                c, self.buffer = self.buffer[:1], self.buffer[1:]
                return c
            found = re.match(rb"\$([^#]*)#[0-9a-f]{2}", self.buffer)
            if found:
                self.buffer = self.buffer[found.end():]
                return found[1]
            got = self.s.recv(65536)
            m.check(got, "the machine has closed the debugger's line")
            self.buffer += got

    def raw(self, data):
        self.s.sendall(data)

    def send(self, text):
        data = text.encode()
        self.raw(b"$" + data + b"#%02x" % (sum(data) & 255))

    def ask(self, text):
        self.send(text)
        m.check(self.read() == b"+", f"{text} was not acknowledged")
        return self.read().decode()


def hostile(folder, elf):
    path = os.path.join(folder, "gdb-hostile")
    machine = start(elf, "auto", path, "--wait")
    wait_for(path)
    peer = Peer(path)
    peer.raw(b"$g#00")
    m.check(peer.read() == b"-", "a wrong checksum was taken")
    peer.raw(b"-")
    m.check(peer.ask("?").startswith("T05thread:1"), "?")
    # unknown: empty; wrong: an error; too much: what fits, or an error
    for text, wanted in [("nonsense", ""), ("qNonsense", ""), ("m", "E16"), ("mzz,1", "E16"), ("m0,1", "E0e"),
                         ("mffffffffffffffff,8", "E0e"), ("m80000000,0", ""), ("M80000000,2:00", "E16"),
                         ("M80000000,ffffffffffffffff:00", "E16"), ("X80000000,5:abc", "E16"), ("p", "E16"),
                         ("pffffff", "E16"), ("P0=00", "E16"), ("G00", "E16"), ("Hgffff", "E16"), ("Tffff", "E02"),
                         ("Z9,0,0", "E16"), ("z0,80000000,4", "E02"), ("Z2,80000000,0", "E22"), ("Z2,ffffffffffffffff,8", "E22"),
                         ("vCont;x", "E16"), ("vCont;c:ffff", "E16"), ("vCont", ""), ("vNope;", ""), ("qRcmd,zz", "E16"),
                         ("qXfer:features:read:other.xml:0,10", "E00"), ("qXfer:features:read:target.xml:zz", "E16"),
                         ("qXfer:features:read:target.xml:ffffffff,10", "l"), ("H", "E16"), ("T", "E02")]:
        got = peer.ask(text)
        m.check(got == wanted, f"{text}: {got!r}, not {wanted!r}")
    m.check(len(peer.ask("m80000000,fffffff")) == 16384, "a long read is cut to the packet's size")
    long = peer.ask("qXfer:features:read:target.xml:0,fffff")
    m.check(long.startswith("m<?xml") and len(long) <= 16384, "a document comes in pieces")
    m.check(peer.ask("Z0,80000000,4") == "OK" and peer.ask("z0,80000000,4") == "OK", "points")
    added = 0
    while peer.ask(f"Z0,{0x80000000 + 4 * added:x},4") == "OK":
        added += 1
        m.check(added < 5000, "points are not bounded")
    # too long, and random
    peer.raw(b"$" + b"a" * 100000 + b"#00")
    m.check(peer.read() == b"-", "a packet that is too long was taken")
    state = 1
    for _ in range(200):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        peer.raw(b"$" + (state >> 8).to_bytes(7, "little").replace(b"k", b"j").replace(b"v", b"w").replace(b"D", b"d") + b"#zz")
    peer.s.close()
    # cut off: the points are gone, and the machine runs to its end
    finished(machine, "after a debugger that was cut off")


def interrupts(folder, elf):
    """Ctrl-C into a program that never ends, twice; then it is killed."""
    path = os.path.join(folder, "gdb-forever")
    machine = start(elf, "auto", path)
    wait_for(path)
    peer = Peer(path)
    m.check(peer.ask("QStartNoAckMode") == "OK", "no-ack mode")
    for _ in range(3):
        peer.send("vCont;c")
        time.sleep(0.05)
        peer.raw(b"\x03")
        got = peer.read()
        m.check(got.startswith(b"T02thread:"), f"interrupted: {got}")
    # a second debugger is turned away
    second = socket.socket(socket.AF_UNIX)
    second.settimeout(run.SECONDS)
    second.connect(path)
    m.check(second.recv(1) == b"", "a second debugger was let in")
    # one hart alone
    peer.send("vCont;s:2")
    m.check(peer.read().startswith(b"T05thread:2"), "a step of hart 2")
    peer.send("k")
    m.check(peer.read() == b"W00", "killed")
    machine.communicate(timeout=run.SECONDS)
    m.check(machine.returncode == 0, f"killed: status {machine.returncode}")


def test(folder):
    backends = run.backends()
    elf = build(folder)
    m.step("bad packets")
    hostile(folder, elf)
    m.step("interrupts")
    interrupts(folder, build(folder, "FOREVER"))
    debugger.need("; what needs no GDB was tried")
    for backend in backends:
        m.step(f"gdb on {backend}")
        session(folder, elf, backend)


if __name__ == "__main__":
    m.main(test)
