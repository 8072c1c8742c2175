#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The user network of the shipped machine: DHCP, HTTP, TCP both ways, UDP and a forward, each byte checked, over each
kind of ring, on memory-mapped registers and on PCI. Traffic stays on the loopback interface."""
import http.server
import os
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

KIB = 65536 if m.LONG else 6144
# the machine, the slot that its card is on, and what the rings may not do; the first four in make check
PLIC, AIA = "virt-riscv64", "virt-riscv64-aia"
CARDS = [(PLIC, "bus3", {}), (AIA, "slot4", {}), (PLIC, "slot1", {"event-index": "off"}),
         (PLIC, "bus3", {"packed": "off", "indirect": "off", "event-index": "off"}),
         (PLIC, "bus3", {"packed": "off"}), (PLIC, "bus3", {"event-index": "off"}), (PLIC, "slot1", {}),
         (AIA, "slot4", {"packed": "off"})]


def pattern(at, length):
    """The same bytes as in net.c."""
    return bytes((n * 167 + (n >> 8) * 13 + (n >> 16) * 7) & 0xff for n in range(at, at + length))


BYTES = pattern(0, KIB << 10)


class Hello(http.server.BaseHTTPRequestHandler):
    """The page that busybox's wget asks for."""

    def do_GET(self):  # pylint: disable=invalid-name
        """Answers every path alike."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"tenon\n")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Quiet: the console is the log."""


def listener(kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_INET, kind)
    s.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        s.listen(4)
    return s, s.getsockname()[1]


def serve_download(s):
    while True:
        peer, _ = s.accept()
        with peer:
            peer.sendall(BYTES)


def serve_upload(s):
    while True:
        peer, _ = s.accept()
        with peer:
            got = bytearray()
            while True:
                part = peer.recv(1 << 20)
                if not part:
                    break
                got += part
            right = len(got) if bytes(got) == BYTES[:len(got)] else 0
            peer.sendall(struct.pack("<Q", right))


def serve_udp(s):
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data, peer)


def start(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def servers():
    """Ports by the words of the kernel's command line."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    start(web.serve_forever)
    ports = {"http": web.server_address[1]}
    for name, function, kind in (("down", serve_download, socket.SOCK_STREAM), ("up", serve_upload, socket.SOCK_STREAM),
                                 ("udp", serve_udp, socket.SOCK_DGRAM)):
        s, ports[name] = listener(kind)
        start(function, s)
    return ports


def free_port():
    s, port = listener()
    s.close()
    return port


def board(folder, forward, base, slot, rings):
    path = os.path.join(folder, "machine.ini")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"[machine]\nschema = 1\nbase = {base}\n"
                f"[device net0]\nhostfwd.1 = tcp::{forward}-:7\n[device eth0]\nbus = {slot}\n[device {slot}]\n")
        f.writelines(f"{key} = {value}\n" for key, value in rings.items())
    return path


def through_the_forward(port):
    """A stream into the guest and back."""
    data = BYTES[:1 << 20]
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.settimeout(60)
        start(lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        got = bytearray()
        while len(got) < len(data):
            part = s.recv(1 << 16)
            if not part:
                break
            got += part
    m.check(bytes(got) == data, f"{len(got)} bytes came back through the forward, or wrong ones")


def run(folder, program, ports, base, slot, rings):
    forward = free_port()
    words = " ".join(f"net.{name}={port}" for name, port in ports.items())
    machine = m.linux_with(folder, program, f"net.kib={KIB} net.serve=7 {words}", board=board(folder, forward, base, slot, rings))
    with machine.start(folder) as guest:
        m.marks(guest, "modules", "net-dhcp", "net-http", "net-download", "net-upload", "net-udp", "net-listen")
        through_the_forward(forward)
        m.marks(guest, "net-served")
        m.ends_with(guest, 0)


def test(folder):
    if m.is_qemu(m.EMULATOR):
        raise m.Skip("the machine file is mortise's")
    program = m.build_linux(folder, "net", os.path.join(m.HERE, "net.c"))
    ports = servers()
    for base, slot, rings in CARDS if m.LONG else CARDS[:4]:
        run(folder, program, ports, base, slot, rings)
        m.step(f"{base}, {slot}: " + (", ".join(f"{key} {value}" for key, value in rings.items()) or "all that rings can"))


if __name__ == "__main__":
    m.main(test)
