#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The emulator on KVM of riscv64 (this program) and of arm64 (nested-arm64.py), inside of Debian's qemu-system, whose
translators have the hypervisor extensions.

The emulator is cross-compiled for it (guests/cross). The host inside is Debian's kernel with KVM and a busybox; it boots
the same kernel as a guest of two CPUs by the shipped machine, which restarts once and remembers so on its disk, goes on
from a snapshot, and turns itself off. So that the parts of cpu-kvm for these hosts are seen to run.
"""
import lzma
import os
import re
import shutil
import subprocess
from types import SimpleNamespace

import machines as m
import nest

SECONDS = 900
PLUGINS = ["cpu-kvm", "dev-char-stdio", "dev-pci-host", "dev-uart16550", "dev-virtio-blk", "dev-virtio-button",
           "dev-virtio-mmio", "dev-virtio-pci", "dev-virtio-rng", "block-raw"]
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
SETTINGS = "-s net0.plugin= -s eth0.plugin= -s ram.size=256M"
# init begins at the part that the kernel's command line names
HEAD = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in {modules}; do insmod /$m.ko; done
cd /w
run() {{ mortise run --plugin-path /w "$@" </dev/null; }}
"""
REFUSAL = """echo "=== begin {name}"
run -q {board} {settings} {words} 2>&1
echo "=== end $?"
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
"""
INNER = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
for m in {modules}; do insmod /$m.ko; done
if [ "$(head -c 5 /dev/vda)" != again ]; then
  printf again | dd of=/dev/vda conv=fsync 2>/dev/null
  reboot -f
fi
echo "year $(date +%Y)"
echo "inner $(uname -m) $(grep -c ^processor /proc/cpuinfo)"
cat /proc/interrupts
n=0
while [ $n -lt 40 ]; do n=$((n + 1)); echo "tick $n"; usleep 200000; done
poweroff -f
"""


def file_of(arch, name):
    """A file of the cache of kernels with KVM."""
    path = os.path.join(m.CACHE, "guests", arch, name)
    if not os.path.exists(path):
        raise m.Skip(f"the guest {arch}/{name} is missing (make guests-all)")
    return path


def modules_arm64(names):
    """{name.ko: bytes} of the guest's kernel."""
    return {name + ".ko": nest.read(file_of("arm64", name + ".ko")) for name in names}


def modules_riscv64(names):
    found = {}
    for folder, _folders, files in os.walk(m.guest_file("parts")):
        for name in files:
            if name[:-len(".ko.xz")] in names and name.endswith(".ko.xz"):
                found[name[:-len(".xz")]] = lzma.decompress(nest.read(os.path.join(folder, name)))
    if len(found) != len(names):
        raise m.Skip("the guest's kernel has no KVM module (make guests)")
    return found


# What differs. `refusals`: what the program says no to, as machine, words, exit status and message; `interrupts`: what the guest
# shows of its own, beside those between CPUs.
RISCV64 = SimpleNamespace(
    arch="riscv64", uname="riscv64", triplet="riscv64-linux-gnu", emulator="qemu-system-riscv64",
    machine=["-M", "virt", "-cpu", "rv64,h=true", "-bios", m.FIRMWARE], console="ttyS0", need=m.need_firmware,
    image=lambda: m.guest_file("Image"), busybox=lambda: m.guest_file("parts/usr/bin/busybox"),
    modules=modules_riscv64, host_modules=["irqbypass", "kvm"],
    plugins=["dev-boot-riscv", "dev-riscv-aclint", "dev-riscv-plic", "dev-rtc-goldfish", "dev-syscon-test",
             "dev-riscv-imsic", "dev-riscv-aplic"],
    boards={"virt.ini": "virt-riscv64", "aia.ini": "virt-riscv64-aia"},
    settings=SETTINGS + " -s cpu.plugin=cpu-kvm -s boot.firmware=",
    refusals={
        "no-kernel": ("virt.ini", "-s boot.firmware=/w/Image", 2,
                      r"\[boot\]: there is no kernel.*supervisor mode"),
        "timebase": ("virt.ini", "-s machine.timebase=24000000 -s boot.kernel=/w/Image", 3,
                     r"10000000 Hz, the machine's at 24000000(.*\n)*.*timebase = 10000000"),
        "aia": ("aia.ini", "-s boot.kernel=/w/Image", 2, r"imsic.*no device serve system registers"),
    },
    interrupts=[r"RISC-V INTC +5 Edge +riscv-timer", r"SiFive PLIC +10 Edge +ttyS0", r"SiFive PLIC +\d+ Edge +virtio",
                r"IPI1: +[1-9]\d* +[1-9]"])
ARM64 = SimpleNamespace(
    arch="arm64", uname="aarch64", triplet="aarch64-linux-gnu", emulator="qemu-system-aarch64",
    machine=["-M", "virt,virtualization=on,gic-version=3", "-cpu", "neoverse-n1"], console="ttyAMA0", need=lambda: None,
    image=lambda: file_of("arm64", "vmlinuz"), busybox=lambda: file_of("arm64", "busybox"),
    modules=modules_arm64, host_modules=[],
    plugins=["dev-boot-arm64", "dev-rtc-pl031"], boards={"virt.ini": "virt-aarch64"}, settings=SETTINGS,
    refusals={
        "no-image": ("virt.ini", "-s boot.kernel=/bin/busybox", 2, r"\[boot\]: kernel: .*no arm64 Linux Image"),
        "spis": ("virt.ini", "-s boot.kernel=/w/Image -s gic.spis=97", 2, r"\[device gic\]: spis.*no multiple of 32"),
    },
    interrupts=[r"GICv3 +27 Level +arch_timer", r"GICv3 +42 Level +ttyS0", r"GICv3 +43 Level +rtc-pl031",
                r"GICv3 +6[4-7] Level +virtio",
                r"IPI0: +[1-9]\d* +[1-9]"])


def build(of):
    """The tree where the emulator was built, and the root that its libraries are in."""
    tree = os.path.join(m.BUILD, "cross-" + of.arch)
    targets = ["mortise", *(f"plugins/{p}/{p}.la" for p in PLUGINS + of.plugins)]
    done = subprocess.run(["sh", os.path.join(m.SOURCE, "tests/guests/cross"), of.arch, m.SOURCE, tree, *targets],
                          stdout=subprocess.PIPE, check=False)
    words = done.stdout.decode().strip()
    if done.returncode == 77:
        raise m.Skip(words.split("\n")[-1])
    m.check(done.returncode == 0, f"it does not build for {of.arch}:\n{words}")
    return tree, words.split("\n")[-1]


def libraries(of, root, programs):
    """{name: path} of what the dynamic linker would load."""
    found, todo = {}, list(programs)
    while todo:
        text = subprocess.run(["readelf", "-d", todo.pop()], stdout=subprocess.PIPE, check=True).stdout.decode()
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", text):
            places = [os.path.join(root, "usr/lib", d, name) for d in (of.triplet, ".")]
            path = next((p for p in places if os.path.exists(p)), None)
            m.check(path, f"{name} is not among the libraries of {of.arch}")
            if name not in found:
                found[name] = path
                todo.append(path)
    return found


def parts_of(of):
    """{name: script}"""
    parts = {name: REFUSAL.format(name=name, board=board, settings=of.settings, words=words)
             for name, (board, words, *_) in of.refusals.items()}
    return {**parts, "linux": LINUX.format(settings=of.settings)}


def contents(of):
    tree, root = build(of)
    program = os.path.join(tree, "mortise")
    plugins = [os.path.join(tree, "plugins", p, ".libs", p + ".so") for p in PLUGINS + of.plugins]
    busybox = (0o755, nest.read(of.busybox()))
    files = {"bin/busybox": busybox, "bin/mortise": (0o755, nest.read(program)),
             "w/Image": (0o644, nest.read(of.image())), "w/disk": (0o644, bytes(DISK_BYTES))}
    files.update({"w/" + os.path.basename(p): (0o644, nest.read(p)) for p in plugins})
    files.update({"lib/" + n: (0o755, nest.read(p)) for n, p in libraries(of, root, [program, *plugins]).items()})
    files.update({n: (0o644, data) for n, data in of.modules(of.host_modules).items()})
    for name, machine in of.boards.items():
        shipped = nest.read(os.path.join(m.SOURCE, "conf", machine + ".ini")).decode()
        # the instruction set is the host's
        files["w/" + name] = (0o644, (re.sub(r"(?m)^isa = .*\n", "", shipped) + MORE).encode())
    inner = {"init": (0o755, INNER.format(modules=" ".join(GUEST_MODULES)).encode()), "bin/busybox": busybox}
    inner.update({n: (0o644, data) for n, data in of.modules(GUEST_MODULES).items()})
    files["w/inner.gz"] = (0o644, nest.archive(inner))
    script = "".join(f'if [ "$from" -le {i} ]; then\n{text}fi\n' for i, text in enumerate(parts_of(of).values()))
    files["init"] = (0o755, (HEAD.format(modules=" ".join(of.host_modules)) + script + "poweroff -f\n").encode())
    return nest.archive(files)


def judge(text, name, status, pattern):
    said, got = nest.output_of(text, name)
    if got != status or not re.search(pattern, said):
        raise m.console.Failure(f"{name} ended with {got} and said:\n{said[-3000:]}")
    m.step(f"{name}: fine")


def linux_judge(of, text):
    """A restart, interrupts of all kinds, and after the snapshot no tick twice."""
    said, status = nest.output_of(text, "linux")
    first, second = said.split("--- second\n")
    begun, ticks = (re.findall(r"tick (\d+)", t) for t in (first, first + second))
    # the kernel's words come whole; those of a program that restarts at once may stand within others
    wanted = [rf"reboot: Restarting system(.*\n)+inner {of.uname} 2\n", r"year 20[2-9]\d\n", *of.interrupts]
    missing = [w for w in wanted if not re.search(w, first)]
    if missing or status or ticks != [str(n) for n in range(1, 41)] or len(begun) == len(ticks):
        raise m.console.Failure(f"Linux ended with {status}, lacks {missing}, and said:\n{said[-4000:]}")
    m.step(f"Linux with two CPUs, a restart, and a snapshot after {len(begun)} ticks: fine")


def test(folder, of):
    emulator = os.environ.get("NESTED_QEMU", of.emulator)
    if not shutil.which(emulator):
        raise m.Skip(f"{emulator} is missing")
    of.need()
    initrd = os.path.join(folder, "initrd")
    with open(initrd, "wb") as f:
        f.write(contents(of))

    def command_from(index):
        # the kernel hands words that are not its own to init
        return [emulator, "-accel", "tcg", *of.machine, "-m", "1G", "-smp", "2", "-nodefaults", "-nographic", "-serial",
                "stdio", "-no-reboot", "-kernel", of.image(), "-initrd", initrd,
                "-append", f"console={of.console} panic=-1 quiet from={index}"]

    text = nest.run_parts(command_from, list(parts_of(of)), SECONDS)
    for name, (_board, _words, status, pattern) in of.refusals.items():
        judge(text, name, status, pattern)
    linux_judge(of, text)


if __name__ == "__main__":
    m.main(lambda folder: test(folder, RISCV64))
