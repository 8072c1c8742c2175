#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A snapshot in the middle of work: two harts compute, write and read files of a disk on PCI, and exchange datagrams and
streams with a server of the host. The guest goes on, and so does each of several copies in processes of their own, on a copy
of the disk: all come to the same sum over everything that was computed, stored and received. Streams that the snapshot has
cut are begun anew by the guest; the forward of a host port works in each copy at once. Traffic stays on the loopback
interface."""
import os
import re
import shutil
import socket
import sys
import time

sys.dont_write_bytecode = True
import machines as m  # noqa: E402
import net  # noqa: E402
import snapshot  # noqa: E402

COPIES = 10 if m.LONG else 3
ROUNDS = 200 if m.LONG else 60
BYTES = 64 << 20


def serve_stream(s):
    """Sends back what comes, on each connection."""
    while True:
        peer, _ = s.accept()
        net.start(echo, peer)


def echo(peer):
    with peer:
        try:
            while True:
                data = peer.recv(1 << 16)
                if not data:
                    return
                peer.sendall(data)
        except OSError:
            return  # the guest is gone


def servers():
    udp, udp_port = net.listener(socket.SOCK_DGRAM)
    net.start(net.serve_udp, udp)
    tcp, tcp_port = net.listener()
    net.start(serve_stream, tcp)
    return udp_port, tcp_port


def through(port):
    """Bytes into the guest and back, on the first connection."""
    data = os.urandom(65536)
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.settimeout(60)
        net.start(s.sendall, data)
        got = bytearray()
        while len(got) < len(data):
            part = s.recv(1 << 16)
            m.check(part, f"the forward ended after {len(got)} bytes")
            got += part
    m.check(bytes(got) == data, "wrong bytes came back through the forward")


def forward(port):
    return f"tcp:127.0.0.1:{port}-:7"


def result(guest):
    """The sum that the work came to, and how often a stream was begun."""
    found = guest.expect(rb"MORTISE-TEST: work (ok|FAIL) ([^\r\n]*)\r", snapshot.SECONDS)
    m.check(found[1] == b"ok", f"the guest says {found[0].decode().strip()}")
    words = re.fullmatch(rb"([0-9a-f]{16}) streams (\d+)", found[2])
    m.ends_with(guest, 0)
    return words[1], int(words[2])


def machine(folder, port):
    program = m.build_linux(folder, "work", os.path.join(m.HERE, "work.c"))
    udp, tcp = servers()
    script = f"#!/bin/sh\n/work {udp} {tcp} {ROUNDS}\n".encode()
    with open(program, "rb") as f:
        initrd = m.initramfs_with(folder, {"scripts/program": (0o755, script), "work": (0o755, f.read())})
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as f:
        f.truncate(BYTES)
    return m.Machine(m.guest_file("Image"), initrd, "console=ttyS0 mortise.script=program", harts=2, disk=disk,
                     memory="256M", bus="slot1", more=f"[device net0]\nhostfwd.1 = {forward(port)}\n")


def take(folder):
    """The result of the guest that was saved."""
    port = net.free_port()
    with machine(folder, port).start(folder) as guest:
        m.marks(guest, "modules", "half")
        snapshot.ctl(guest, folder, "pause")
        snapshot.ctl(guest, folder, "snapshot", os.path.join(folder, "snap"))
        shutil.copy2(os.path.join(folder, "disk.img"), os.path.join(folder, "half.img"))
        snapshot.ctl(guest, folder, "resume")
        through(port)
        return result(guest)


def copy_goes_on(folder):
    """The result of a copy; and what it is to the host: seconds until its forward answers."""
    port = net.free_port()
    disk = os.path.join(folder, "copy.img")
    shutil.copy2(os.path.join(folder, "half.img"), disk)
    started = time.monotonic()
    with snapshot.restore(os.path.join(folder, "snap"), f"disk.file={disk}", f"net0.hostfwd.1={forward(port)}") as guest:
        while time.monotonic() - started < 30:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        through(port)
        return result(guest)


def test(folder):
    if m.is_qemu(m.EMULATOR):
        raise m.Skip("snapshots are mortise's")
    os.environ["XDG_RUNTIME_DIR"] = folder
    os.makedirs(os.path.join(folder, "mortise"), mode=0o700)
    wanted, begun = take(folder)
    m.step(f"saved at work, and gone on: {wanted.decode()}")
    for number in range(COPIES):
        have, streams = copy_goes_on(folder)
        m.check(have == wanted, f"copy {number} came to {have.decode()}, not {wanted.decode()}")
        m.check(streams > begun, f"copy {number} began {streams} streams, the first guest {begun}: was it cut at all?")
    m.step(f"{COPIES} copies came to the same")


if __name__ == "__main__":
    m.main(test)
