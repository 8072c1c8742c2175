#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The emulator on KVM of riscv64, inside of Debian's qemu-system-riscv64, whose translator has the hypervisor extension.

The emulator is cross-compiled for it (guests/cross). The host inside is Debian's kernel with its KVM module and a busybox;
it boots the same kernel as a guest of two harts by the shipped machine, which restarts once and remembers so on its disk,
goes on from a snapshot, and turns itself off. So that the riscv64 part of cpu-kvm is seen to run.
"""
import lzma
import os
import re
import shutil
import subprocess

import machines as m
import nest

PEER = os.environ.get("NESTED_QEMU", "qemu-system-riscv64")
SECONDS = 900
PLUGINS = ["cpu-kvm", "dev-boot-riscv", "dev-char-stdio", "dev-pci-host", "dev-riscv-aclint", "dev-riscv-plic",
           "dev-rtc-goldfish", "dev-syscon-test", "dev-uart16550", "dev-virtio-blk", "dev-virtio-button", "dev-virtio-mmio",
           "dev-virtio-pci", "dev-virtio-rng", "block-raw", "dev-riscv-imsic", "dev-riscv-aplic"]
MODULES = ["irqbypass", "kvm"]
GUEST_MODULES = ["virtio_blk"]
DISK_BYTES = 64 << 10
MORE = """[monitor]
socket = ctl
[block disk]
plugin = block-raw
file = disk
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = disk
"""
# without the network, whose library is not everywhere
SETTINGS = "-s cpu.plugin=cpu-kvm -s net0.plugin= -s eth0.plugin= -s boot.firmware= -s ram.size=256M"
HEAD = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in {modules}; do insmod /$m.ko; done
cd /w
run() {{ mortise run --plugin-path /w "$@" </dev/null; }}
part() {{ echo "=== begin $1"; shift; run -q "$@" 2>&1; echo "=== end $?"; }}
part no-kernel virt.ini {settings} -s boot.firmware=/w/Image
part timebase virt.ini {settings} -s machine.timebase=24000000 -s boot.kernel=/w/Image
part aia aia.ini {settings} -s boot.kernel=/w/Image
"""
# what the guest does is slow twice over, so it is stopped by what it says and not by a time
LINUX = """echo "=== begin linux"
run --verbose virt.ini {settings} -s boot.kernel=/w/Image -s boot.initrd=/w/inner.gz -s cpu.count=2 \\
  -s 'boot.append=console=ttyS0 panic=-1 quiet' > first 2>&1 &
machine=$!
until grep -qs 'tick 5' first || ! kill -0 $machine; do usleep 100000; done
mortise ctl /w/ctl pause && mortise ctl /w/ctl snapshot /w/saved && mortise ctl /w/ctl quit
wait $machine
run -q --restore /w/saved > second 2>&1
status=$?
cat first; echo "--- second"; cat second
echo "=== end $status"
poweroff -f
"""
INNER = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
for m in {modules}; do insmod /$m.ko; done
if [ "$(head -c 5 /dev/vda)" != again ]; then
  echo "inner restarts"
  printf again | dd of=/dev/vda conv=fsync 2>/dev/null
  reboot -f
fi
echo "inner $(uname -m) $(grep -c ^processor /proc/cpuinfo)"
cat /proc/interrupts
n=0
while [ $n -lt 40 ]; do n=$((n + 1)); echo "tick $n"; usleep 200000; done
poweroff -f
"""


def modules(*names):
    """{name.ko: bytes} of the guest's kernel."""
    found = {}
    for folder, _folders, files in os.walk(m.guest_file("parts")):
        for name in files:
            if name[:-len(".ko.xz")] in names and name.endswith(".ko.xz"):
                found[name[:-len(".xz")]] = lzma.decompress(nest.read(os.path.join(folder, name)))
    if len(found) != len(names):
        raise m.Skip("the guest's kernel has no KVM module (make guests)")
    return found


def build():
    """The tree where the emulator was built for riscv64, and the root that its libraries are in."""
    tree = os.path.join(m.BUILD, "cross-riscv64")
    targets = ["mortise", *(f"plugins/{p}/{p}.la" for p in PLUGINS)]
    done = subprocess.run(["sh", os.path.join(m.SOURCE, "tests/guests/cross"), "riscv64", m.SOURCE, tree, *targets],
                          stdout=subprocess.PIPE, check=False)
    words = done.stdout.decode().strip()
    if done.returncode == 77:
        raise m.Skip(words.split("\n")[-1])
    m.check(done.returncode == 0, f"it does not build for riscv64:\n{words}")
    return tree, words.split("\n")[-1]


def libraries(root, programs):
    """{name: path} of what the dynamic linker would load."""
    found, todo = {}, list(programs)
    while todo:
        text = subprocess.run(["readelf", "-d", todo.pop()], stdout=subprocess.PIPE, check=True).stdout.decode()
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text):
            places = [os.path.join(root, "usr/lib", d, name) for d in ("riscv64-linux-gnu", ".")]
            path = next((p for p in places if os.path.exists(p)), None)
            m.check(path, f"{name} is not among the libraries of riscv64")
            if name not in found:
                found[name] = path
                todo.append(path)
    return found


def contents():
    tree, root = build()
    program = os.path.join(tree, "mortise")
    plugins = [os.path.join(tree, "plugins", p, ".libs", p + ".so") for p in PLUGINS]
    busybox = (0o755, nest.read(os.path.join(m.guest_file("parts"), "usr/bin/busybox")))
    files = {"bin/busybox": busybox, "bin/mortise": (0o755, nest.read(program)),
             "w/Image": (0o644, nest.read(m.guest_file("Image"))), "w/disk": (0o644, bytes(DISK_BYTES))}
    files.update({"w/" + os.path.basename(p): (0o644, nest.read(p)) for p in plugins})
    files.update({"lib/" + n: (0o755, nest.read(p)) for n, p in libraries(root, [program, *plugins]).items()})
    files.update({n: (0o644, data) for n, data in modules(*MODULES).items()})
    for name, machine in (("virt.ini", "virt-riscv64"), ("aia.ini", "virt-riscv64-aia")):
        shipped = nest.read(os.path.join(m.SOURCE, "conf", machine + ".ini")).decode()
        # the instruction set is the host's
        files["w/" + name] = (0o644, (re.sub(r"(?m)^isa = .*\n", "", shipped) + MORE).encode())
    inner = {"init": (0o755, INNER.format(modules=" ".join(GUEST_MODULES)).encode()), "bin/busybox": busybox}
    inner.update({n: (0o644, data) for n, data in modules(*GUEST_MODULES).items()})
    files["w/inner.gz"] = (0o644, nest.archive(inner))
    script = HEAD.format(modules=" ".join(MODULES), settings=SETTINGS) + LINUX.format(settings=SETTINGS)
    files["init"] = (0o755, script.encode())
    return nest.archive(files)


def judge(text, name, status, pattern):
    said, got = nest.output_of(text, name)
    if got != status or not re.search(pattern, said):
        raise m.console.Failure(f"{name} ended with {got} and said:\n{said[-3000:]}")
    m.step(f"{name}: fine")


def linux_judge(text):
    """A restart, interrupts of all kinds, and after the snapshot no tick twice."""
    said, status = nest.output_of(text, "linux")
    first, second = said.split("--- second\n")
    begun, ticks = (re.findall(r"tick (\d+)", t) for t in (first, first + second))
    wanted = [r"inner restarts\n(.*\n)*inner riscv64 2\n", r"RISC-V INTC +5 Edge +riscv-timer",
              r"SiFive PLIC +10 Edge +ttyS0", r"SiFive PLIC +\d+ Edge +virtio", r"IPI1: +[1-9]\d* +[1-9]"]
    missing = [w for w in wanted if not re.search(w, first)]
    if missing or status or ticks != [str(n) for n in range(1, 41)] or len(begun) == len(ticks):
        raise m.console.Failure(f"Linux ended with {status}, lacks {missing}, and said:\n{said[-4000:]}")
    m.step(f"Linux with two harts, a restart, and a snapshot after {len(begun)} ticks: fine")


def test(folder):
    if not shutil.which(PEER):
        raise m.Skip(f"{PEER} is missing")
    m.need_firmware()
    initrd = os.path.join(folder, "initrd")
    with open(initrd, "wb") as f:
        f.write(contents())
    command = [PEER, "-accel", "tcg", "-M", "virt", "-cpu", "rv64,h=true", "-m", "1G", "-smp", "2", "-nodefaults",
               "-nographic", "-serial", "stdio", "-no-reboot", "-bios", m.FIRMWARE, "-kernel", m.guest_file("Image"),
               "-initrd", initrd, "-append", "console=ttyS0 panic=-1 quiet"]
    text = nest.run(command, SECONDS)
    # on a busy machine the emulated host was seen to hang before its first program
    if "=== begin" not in text:
        text = nest.run(command, SECONDS)
    judge(text, "no-kernel", 2, r"\[boot\]: there is no kernel.*supervisor mode")
    judge(text, "timebase", 3, r"10000000 Hz, the machine's at 24000000(.*\n)*.*timebase = 10000000")
    judge(text, "aia", 2, r"imsic.*no device serve system registers")
    linux_judge(text)


m.main(test)
