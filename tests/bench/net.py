#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TCP through the user network, this emulator beside QEMU in the same minutes: a stream each way, and requests of one byte
with answers. The host's end is on the loopback interface. Wall time is what the guest measured; CPU time is the whole
emulator process's meanwhile.
"""
import os
import socket
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
KINDS = ("down", "up", "rr")
SCRIPT = """#!/bin/sh
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
for word in $(cat /proc/cmdline); do
  case $word in net.*) w=${word#net.}; echo "BENCH-START ${w%%:*}"; /mortise-net $(echo $w | tr : ' ') ;; esac
done
echo "BENCH-END"
"""
LINE = rb"BENCH(?: (\w+) (\d+) ([0-9.]+)|-(START) (\w+)|-(END))\r"
CHUNK = bytes(1 << 20)


def cpu_seconds(pid):
    """User and system time of all threads of a process: clock_getcpuclockid(3)'s clock, which Python does not offer."""
    return time.clock_gettime(~pid << 3 | 2)


def serve_down(peer):
    while True:
        peer.sendall(CHUNK)


def serve_up(peer):
    room = bytearray(1 << 20)
    while peer.recv_into(room):
        pass
    peer.sendall(b"!")


def serve_rr(peer):
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        got = peer.recv(64)
        if not got:
            break
        peer.sendall(got)


def serve(listener, function):
    while True:
        peer, _ = listener.accept()
        with peer:
            try:
                function(peer)
            except OSError:
                pass                      # the guest has what it wanted


def servers():
    ports = {}
    for kind, function in zip(KINDS, (serve_down, serve_up, serve_rr)):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        ports[kind] = s.getsockname()[1]
        threading.Thread(target=serve, args=(s, function), daemon=True).start()
    return ports


def run_once(machine, program, args, folder):
    """One boot: {kind: {seconds, cpu_seconds}}."""
    result, cpu = {}, 0.0
    with m.console.Console(machine.command(program, folder)) as guest:
        guest.expect(rb"MORTISE-TEST: modules ok\r", m.BOOT_SECONDS)
        while True:
            found = guest.expect(LINE, args.limit)
            if found[6]:
                break
            if found[4]:
                cpu = cpu_seconds(guest.pid)
            else:
                result[found[1].decode()] = {"count": int(found[2]), "seconds": float(found[3]),
                                             "cpu_seconds": cpu_seconds(guest.pid) - cpu}
        m.ends_with(guest, 0)
    return result


def speed(kind, count, seconds):
    """As people say it: MB/s, or requests a second."""
    return f"{count / seconds / 1e6:.1f} MB/s" if kind != "rr" else f"{count / seconds:.0f}/s"


def compare(runs, kind, what):
    """Ratios to this emulator, a peer: below 1 this one takes less."""
    own = runs.get(peers.SELF, [])
    result = {}
    for name, list_of in runs.items():
        if name != peers.SELF and own:
            result[name] = peers.interval([a[kind][what] / b[kind][what] for a, b in zip(own, list_of)])
    return result


def text(result):
    for kind in KINDS:
        print(f"{kind}:")
        rows = []
        for name, list_of in result["runs"].items():
            seconds = statistics.median(r[kind]["seconds"] for r in list_of)
            cpu = statistics.median(r[kind]["cpu_seconds"] for r in list_of)
            rows.append([name, speed(kind, list_of[0][kind]["count"], seconds), f"{seconds:.3f}", f"{cpu:.3f}"])
        peers.table(["emulator", "speed", "seconds", "CPU seconds"], rows)
        for what in ("seconds", "cpu_seconds"):
            for name, ratio in compare(result["runs"], kind, what).items():
                print(f"  {what}, {peers.SELF} / {name}: {peers.show(*ratio)}")


def bench(folder):
    parser = peers.arguments(__doc__)
    parser.add_argument("--mib", type=int, default=64, help="length of each stream")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--limit", type=int, default=120, help="seconds for one measurement")
    args = peers.parse(parser)
    programs = peers.find(args.only)
    ports = servers()
    guest = m.build_linux(folder, "mortise-net", os.path.join(peers.HERE, "guest", "net.c"))
    with open(guest, "rb") as f:
        initramfs = m.initramfs_with(folder, {"mortise-net": (0o755, f.read()),
                                              "scripts/bench": (0o755, SCRIPT.encode())})
    words = " ".join(f"net.{kind}:{ports[kind]}:{args.requests if kind == 'rr' else args.mib << 20}" for kind in KINDS)
    machine = m.Machine(m.guest_file("Image"), initramfs, f"console=ttyS0 mortise.script=bench {words}", network=True)
    runs = {name: [] for name in programs}
    for i, name in peers.rounds(programs, args.rounds):
        runs[name].append(run_once(machine, programs[name], args, folder))
        peers.note(args, f"round {i + 1}: {name}: " + ", ".join(
            f"{kind} {speed(kind, r['count'], r['seconds'])}" for kind, r in runs[name][-1].items()))
    headlines = [(kind, name, ratio) for kind in KINDS for name, ratio in compare(runs, kind, "seconds").items()]
    peers.finish(args, {"benchmark": "net", "runs": runs}, text, headlines)


peers.main(bench)
