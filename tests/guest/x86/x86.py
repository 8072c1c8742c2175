# SPDX-License-Identifier: MIT
"""Freestanding x86-64 programs: building them, the machine that they run on, and what they must say and end with.

A program is built with start.S and rt.c, is entered by PVH, prints to the serial port, and ends the machine by a port.
"""
import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import machines as m  # noqa: E402

SOURCE = os.path.join(m.SOURCE, "tests/guest/x86")
PLUGINS = ["cpu-kvm", "dev-boot-x86", "dev-debug-exit", "dev-uart16550", "dev-char-stdio", "dev-char-file", "dev-pci-host",
           "dev-acpi", "dev-virtio-pci", "dev-virtio-blk", "dev-virtio-console", "block-raw", "block-qcow2", "dev-i8042", "dev-i8254", "dev-i8259",
           "dev-rtc-cmos", "dev-lapic", "dev-ioapic", "dev-boot-bios", "dev-fw-cfg", "dev-debug-port", "dev-virtio-rng",
           "dev-nvme"]
FLAGS = ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-fno-pic", "-ffreestanding", "-fno-builtin", "-march=x86-64",
         "-mgeneral-regs-only", "-mno-red-zone", "-fcf-protection=none", "-fno-stack-protector",
         "-fno-asynchronous-unwind-tables", "-O2", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none",
         "-Wl,--no-warn-rwx-segments", "-Wl,-z,noexecstack", "-Wl,-T," + os.path.join(SOURCE, "link.ld")]
# without interrupt controllers
BARE = """[machine]
schema = 1
arch = x86_64
[cpu]
plugin = cpu-kvm
[memory ram]
at = 0
size = 64M
[boot]
plugin = dev-boot-x86
kernel = none
[device con0]
plugin = dev-char-stdio
[device uart0]
plugin = dev-uart16550
port = 0x3f8
char = con0
[device exit]
plugin = dev-debug-exit
"""
# all of a PC's controllers, which [cpu] irqchip shares out; lines of the ISA bus go to the 8259A as well
CHIPS = f"""[device pic]
plugin = dev-i8259
[device lapic]
plugin = dev-lapic
pic = pic
[device ioapic]
plugin = dev-ioapic
msi = lapic
isa = {", ".join(f"pic:{n}" for n in range(16))}
[device pit]
plugin = dev-i8254
irq = ioapic:2
[device rtc]
plugin = dev-rtc-cmos
irq = ioapic:8
"""
# what `pci` drives; beside the machine file lie the disk, of DISK_BYTES that are all 0x5a, and what the
# console says
PCI = """[device pci]
plugin = dev-pci-host
at = 0xe0000000
config-port = 0xcf8
mem32 = 0xc0000000
mem32-size = 512M
irq = ioapic:16, ioapic:17, ioapic:18, ioapic:19
msi = lapic
[device slot1]
plugin = dev-virtio-pci
bus = pci
[device slot2]
plugin = dev-virtio-pci
bus = pci
[block disk]
plugin = block-raw
file = disk
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = disk
[device con1]
plugin = dev-char-file
output = said
[device hvc0]
plugin = dev-virtio-console
bus = slot2
char = con1
"""
SPARE = """[device slot3]
plugin = dev-virtio-pci
bus = pci
[block spare]
plugin = block-qcow2
file = "{0}"
[device vdb]
plugin = dev-virtio-blk
bus = slot3
block = spare
"""
# what `reset` writes to, beside the PCI host's ports; tables and a power button, and the socket by which it is pressed
POWER = """[device keys]
plugin = dev-i8042
irq = ioapic:1
[device acpi]
plugin = dev-acpi
irq = ioapic:9
[monitor]
socket = ctl
"""
WITHOUT_PCI = BARE.replace("char = con0", "irq = ioapic:4\nchar = con0") + CHIPS
BOARD = WITHOUT_PCI + PCI + POWER
# behind the addresses of PCI
HIGH = """[memory high]
at = 0x100000000
size = 64M
"""
IRQCHIPS = ["kernel", "split", "user"]
# kicks by eventfds, which KVM is to take over: it says so with --verbose
BY_THREAD = ["slot1.kicks=thread", "slot2.kicks=thread"]
TAKEN = r"KVM serves register 0x[0-9a-f]+ by an eventfd"
# and messages, of KVM's local APICs
BY_EVENTFD = ["slot1.messages=eventfd", "slot2.messages=eventfd", *BY_THREAD]
SENT = r"KVM serves interrupt 0x1[0-9a-f]{2} by an eventfd"
# with the shipped machine that has a BIOS: its disk and its messages; and settings that leave out the network, whose
# library is not everywhere
BIOS = """[block disk0]
plugin = block-raw
file = sector
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = disk0
[device log0]
plugin = dev-char-file
output = log
[device exit]
plugin = dev-debug-exit
"""
BIOS_SETTINGS = ["debug.char=log0", "ram.size=64M", "net0.plugin=", "eth0.plugin=", "boot.firmware=firmware"]
FIRMWARE = "/usr/share/seabios/bios-256k.bin"
DISK_BYTES = 64 << 10
# <linux/kvm.h>
KVM_GET_API_VERSION = 0xae00
KVM_CREATE_VM = 0xae01
KVM_CHECK_EXTENSION = 0xae03
KVM_CAP_MAX_VCPUS = 66
SAID = "said"

# what the boot sector says behind SeaBIOS's own words, of 64 MiB of which the BIOS keeps a part at the end
SECTOR_SAYS = (r".*boot sector: drive 0x00000080\n.*second sector: ok\n.*ram above 1 MiB 0x03e[0-9a-f]{5}\n.*"
               r"rsdp: ok\ndone\n")

IRQ_SAYS = r"serial port through the I/O APIC: ok\ndone\n"
PIC_SAYS = r"clock on IRQ 8: ok\n(.*\n)*masked no more: ok\ndone\n"
PCI_SAYS = (r"disk with messages: ok\n(.*\n)*changed vectors: ok\n(.*\n)*disk with its pin: ok\n(.*\n)*done\n"
            r"(.*\n)*said by the virtio console\n")
APIC_SAYS = r"timer with a deadline: ok\n(.*\n)*turned on again: ok\n(.*\n)*x2APIC mode: ok\n(.*\n)*done\n"
DEVICES_SAY = r"no deadline is shown: ok\n(.*\n)*turned on again: ok\n(.*\n)*x2APIC mode is refused: ok\n(.*\n)*done\n"


def programs_of(irqchip, vcpus):
    """On the one board, with an irqchip."""
    on = [f"cpu.irqchip={irqchip}"]
    apic = (["DEVICES"], DEVICES_SAY) if irqchip == "user" else ([], APIC_SAYS)
    smp = [("board", "smp", [f"CPUS={n}"], n, on, 0, r"atomic sum: ok\ndone\n") for n in (2, 16)] if vcpus > 1 else []
    # KVM's I/O APIC sends no such messages to its local APICs
    extint = [] if irqchip == "kernel" else [("board", "extint", [], vcpus, on, 0, r"LINT0 again: ok\ndone\n")]
    return smp + extint + [
        ("board", "cpu", [], vcpus, on, 0, r"ring 3 0x87c8dad3830e2325\n(.*\n)*done\n"),
        ("board", "irq", [], vcpus, on, 0, IRQ_SAYS),
        ("board", "pic", ["OF_KVM"] if irqchip == "kernel" else [], vcpus, on, 0, PIC_SAYS),
        ("board", "pci", [], vcpus, on, 0, PCI_SAYS),
        ("board", "pci", [], vcpus, on + BY_THREAD, 0, PCI_SAYS),
        ("board", "pci", [], vcpus, on + BY_EVENTFD, 0, PCI_SAYS),
        ("board", "apic", apic[0], vcpus, on, 0, apic[1]),
        ("board", "reset", [], vcpus, on, 0, r"resets 0x0\n(.*\n)*resets 0x3\ndone\n"),
    ]


# machine file, program, defines, vCPUs, settings, exit status, what the output must hold
PROGRAMS = [p for irqchip in IRQCHIPS for vcpus in (1, 2) for p in programs_of(irqchip, vcpus)] + [
    ("bare", "cpu", [], 1, [], 0, r"done\n"),
    ("bare", "cpu", [], 1, ["cpu.irqchip=off"], 0, r"done\n"),
    ("board", "cpu", [], 1, ["cpu.model=base"], 0, r"done\n"),
    ("board", "features", [], 1, [], 0, r"done\n"),
    ("board", "features", [], 1, ["cpu.model=base"], 0, r"done\n"),
    ("board", "features", [], 1, ["cpu.features-off=fsgsbase,umip"], 0, r"done\n"),
    ("board", "fail", ["HOW=1"], 1, [], 7, r"going\n"),
    ("board", "fail", ["HOW=2"], 1, [], 1, r"vcpu0: triple fault: rip 0x"),
    ("board", "fail", ["HOW=3"], 1, [], 1, r"vcpu0: KVM cannot emulate an instruction: .*rip 0xfee80000"),
]
# what `features` says besides where KVM shows the CPU that it was told
HIDDEN = {"cpu.model=base": r"fsgsbase hidden: ok\n(.*\n)*xsave hidden: ok\ndone\n",
          "cpu.features-off=fsgsbase,umip": r"fsgsbase hidden: ok\numip hidden: ok\n(.*\n)*xsave shown: ok\ndone\n"}
# going on from a snapshot with the next irqchip, and with that of the one before
# a way round each ordered pair of them; and the stops of `across`, a number that has no divisor in common with theirs
ROUND = ["kernel", "kernel", "split", "split", "user", "user", "kernel", "user", "split"]
STOPS = 13
CHAINS = [["kernel", "user", "split", "kernel"], ["kernel", "split", "user", "kernel"]]


def need_compiler():
    compiler = os.environ.get("X86_64_CC") or ("gcc" if os.uname().machine == "x86_64" else "x86_64-linux-gnu-gcc")
    if not shutil.which(compiler):
        raise m.Skip(f"{compiler} is missing")
    return compiler


def ask_kvm(request, argument=0):
    """What a call of /dev/kvm itself gives, which has to be usable: a machine can be made."""
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR)
    except OSError as reason:
        raise m.Skip("/dev/kvm: " + {errno.ENOENT: "this host has none",
                                     errno.EACCES: "no permission"}.get(reason.errno, reason.strerror)) from None
    try:
        os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
        return fcntl.ioctl(kvm, request, argument)
    except OSError as reason:
        raise m.Skip(f"/dev/kvm: it makes no machines: {reason.strerror}") from None
    finally:
        os.close(kvm)


def need_kvm():
    ask_kvm(KVM_GET_API_VERSION)


def ring0_is_native():
    """A host that is a guest itself, without nested virtualization, may run only ring 3: the rest is interpreted, in part."""
    return not os.path.isdir("/sys/module/kvm_pvm")


def need_native_ring0():
    need_kvm()
    if not ring0_is_native():
        raise m.Skip("/dev/kvm: ring 0 is interpreted on this host (kvm_pvm)")


def need_plugins():
    m.need_emulator()
    for name in PLUGINS:
        if not os.path.exists(os.path.join(m.BUILD, "plugins", name, ".libs", name + ".so")):
            raise m.Skip(f"{name} is not built")


def build(folder, name, *defines):
    path = os.path.join(folder, "-".join([name, *defines]).replace("=", ""))
    subprocess.run([need_compiler(), *FLAGS, *("-D" + d for d in defines), "-o", path,
                    *(os.path.join(SOURCE, f) for f in ("start.S", "rt.c", name + ".c"))], check=True)
    return path


def build_sector(folder):
    """The disk that firmware boots from; a BIOS wants it to have a cylinder of 16 heads and 63 sectors."""
    path = os.path.join(folder, "sector")
    subprocess.run([need_compiler(), "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
                    "-Wl,--oformat=binary,-Ttext=0x7c00", "-o", path, os.path.join(SOURCE, "sector.S")], check=True)
    os.truncate(path, 1 << 20)
    return path


def files_of():
    """What lies in the folder of the machine files, {name: bytes}."""
    return {"bare.ini": BARE.encode(), "board.ini": BOARD.encode(), "tall.ini": (BOARD + HIGH).encode(), "disk": b"\x5a" * DISK_BYTES}


def write_files(folder):
    for name, data in files_of().items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


def words_of(settings):
    """Words of `mortise run`."""
    return ["--verbose" if settings[-2:] == BY_THREAD else "--quiet"]


def settings_of(kernel, vcpus, settings):
    return [f"boot.kernel={kernel}", f"cpu.count={vcpus}", *settings]


def judge(what, output, status, wanted_status, pattern):
    output = output.replace("\r", "")
    if "kicks=thread" in what and not re.search(TAKEN, output):
        raise m.console.Failure(f"{what}: KVM takes no kicks over:\n{output[-3000:]}")
    if "messages=eventfd" in what and ("irqchip=user" in what) == bool(re.search(SENT, output)):
        raise m.console.Failure(f"{what}: messages are not sent by whom they should be:\n{output[-3000:]}")
    if status != wanted_status or not re.search(pattern, output) or "FAILED" in output:
        raise m.console.Failure(f"{what}: status {status} and not {wanted_status}, or without '{pattern}':\n{output[-3000:]}")
    m.step(f"{what}: fine")
