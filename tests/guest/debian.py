#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A whole Debian from a disk: firmware and boot loader from the image, a login on the console and over ssh, packages
installed over the guest's network from an archive on this host, and a parallel compilation that gives what a serial one
gives. Uses a copy of the image that debian-install.py made."""
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import debian_image as d  # noqa: E402
import machines as m  # noqa: E402

LOADER = "/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf"
HOST = "10.0.2.2"  # this host, as the guest's network shows it
SOURCES = ["sdk", "plugins/cpu-tcg"]
MAKEFILE = r"""
SRC := $(wildcard plugins/cpu-tcg/front/riscv/*.c plugins/cpu-tcg/ir/*.c plugins/cpu-tcg/opt/*.c plugins/cpu-tcg/fp/*.c)
CFLAGS := -std=gnu11 -O2 -D_GNU_SOURCE -Isdk -Iplugins/cpu-tcg
sums: $(SRC:.c=.o)
	cat $(sort $^) | sha256sum
"""


class Archive:
    """A folder of packages, served to the guest from the loopback address only."""

    def __init__(self, folder):
        def handler(*words):
            return QuietHandler(*words, directory=folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words):
        pass


class Ssh:
    """Commands in the guest, over ssh through a port of the loopback address that the machine forwards."""

    def __init__(self, folder, port):
        self.key = os.path.join(folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.words = ["ssh", "-q", "-i", self.key, "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o",
                      "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=60", "root@127.0.0.1"]

    def public(self):
        with open(self.key + ".pub", encoding="ascii") as f:
            return f.read().strip()

    def run(self, command, seconds, data=None):
        done = subprocess.run(self.words + [command], input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, check=False)
        text = done.stdout.decode("utf-8", "replace")
        m.check(done.returncode == 0, f"over ssh, {command!r} ended with {done.returncode}: {text[-1500:]}")
        return text


def start(folder, disk, harts, port, base, slot):
    """The machine with the boot loader in the kernel's place: all else comes from the disk."""
    board = d.write_machine(folder, [("vda", disk, False)], f"tcp:127.0.0.1:{port}-:22", base, slot)
    return m.console.Console([m.EMULATOR, "run", "-q", board, "-s", f"boot.kernel={LOADER}", "-s", f"cpu.count={harts}",
                              "-s", "ram.size=2G", "-s", "boot.append="])


def log_in(guest):
    guest.expect(rb"debian login: ", 900)
    guest.type(b"root\n")
    guest.expect(rb"Password: ", 60)
    guest.type(b"mortise\n")
    guest.expect(rb"root@debian:~# ", 120)


def shut_down(ssh, guest):
    subprocess.run(ssh.words + ["systemctl poweroff"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    m.ends_with(guest, 0, 180)


def compiled(ssh, jobs):
    """The checksum of the objects that the guest's compiler makes of this project's translator."""
    text = ssh.run(f"cd src && find . -name '*.o' -delete && make -s -j{jobs} sums", 3000)
    return re.search(r"[0-9a-f]{64}", text)[0]


def test(folder):
    if not os.path.exists(LOADER):
        raise m.Skip("the boot loader is missing (Debian: u-boot-qemu)")
    if not shutil.which("ssh"):
        raise m.Skip("ssh is missing (Debian: openssh-client)")
    disk = d.copy(d.installed(), os.path.join(folder, "disk.img"))
    archive = Archive(d.needed("repo"))
    port = d.free_port()
    ssh = Ssh(folder, port)
    with start(folder, disk, 4, port, "virt-riscv64-aia", "slot") as guest:
        log_in(guest)
        m.step("4 harts, AIA, disk and card on PCI: log-in on the console")
        guest.type(f"mkdir -p .ssh; echo '{ssh.public()}' > .ssh/authorized_keys; echo key-is-there\n".encode())
        guest.expect(rb"[\r\n]key-is-there", 60)
        m.check("riscv64" in ssh.run("uname -m", 120), "the guest is no riscv64")
        vectors = ssh.run("grep -oE 'PCI-MSIX.*virtio[0-9]+-(req|input|output).*' /proc/interrupts", 60).splitlines()
        m.check(len(vectors) >= 3, f"disk and card have these vectors: {vectors}")
        m.step("log-in over ssh; vectors: " + ", ".join(v.split()[-1] for v in vectors))
        ssh.run(f"echo 'deb [trusted=yes] http://{HOST}:{archive.port}/ ./' > /etc/apt/sources.list && apt-get update && "
                "apt-get install -y hello && hello", 900)
        m.check("Hello, world!" in ssh.run("hello", 60), "the installed program does not greet")
        m.step("a package installed over the network")
        tar = subprocess.run(["tar", "-c", "-C", m.SOURCE, *SOURCES], stdout=subprocess.PIPE, check=True).stdout
        ssh.run("mkdir -p src && tar -x -C src", 300, tar)
        ssh.run("cat > src/Makefile", 60, MAKEFILE.encode())
        parallel = compiled(ssh, 4)
        m.step("compiled by make -j4 on 4 harts")
        shut_down(ssh, guest)
    with start(folder, disk, 1, port, "virt-riscv64", "bus") as guest:
        guest.expect(rb"debian login: ", 900)
        m.check(compiled(ssh, 1) == parallel, "one hart compiles something else than four do")
        m.step("one hart, PLIC, memory-mapped slots: make gives the same objects")
        shut_down(ssh, guest)


m.main(test)
