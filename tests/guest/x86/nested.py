#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The emulator on a KVM inside of Debian's qemu-system-x86_64, whose translator has AMD's SVM.

The host inside is Debian's kernel with its KVM modules and a busybox; it runs the freestanding programs of kvm.py, goes
on from snapshots, boots the same kernel as a guest, with a disk whose messages KVM sends by itself, and starts SeaBIOS, which boots from a disk. So that cpu-kvm is seen
to run where there is no /dev/kvm.
"""
import os
import re
import shutil
import subprocess

import x86
from x86 import m
import nest
from nest import archive, output_of, read

PEER = "qemu-system-x86_64"
SECONDS = 900
MODULES = ["irqbypass", "kvm", "ccp", "kvm-amd"]
HEAD = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in %s; do insmod /$m.ko; done
cd /w
run() { mortise run --plugin-path /w "$@" </dev/null; }
"""
# what the guest does is slow twice over, so it is stopped by what it says and not by a time
SNAPSHOT = """echo "=== begin {0}"
run -q board.ini -s boot.kernel=/w/{1} {2} > first 2>&1 &
until grep -q 'tick 0x5' first; do usleep 50000; done
mortise ctl /w/ctl pause && mortise ctl /w/ctl snapshot /w/{0} && mortise ctl /w/ctl quit
wait
run -q --restore /w/{0} > second 2>&1
echo "status $?"
cat first; echo "--- second"; cat second
echo "=== end 0"
"""
# without a pause of its own: memory is copied while the guest writes it
LIVE = """echo "=== begin live"
run --verbose board.ini -s boot.kernel=/w/{0} > first 2>&1 &
machine=$!
until [ $(grep -c 'round: ok' first) -ge 3 ] || ! kill -0 $machine; do usleep 50000; done
mortise ctl /w/ctl snapshot /w/live && mortise ctl /w/ctl quit 2>/dev/null
wait
run -q --restore /w/live > second 2>&1
echo "status $?"
cat first; echo "--- second"; cat second
echo "=== end 0"
"""
# packets of a debugger, each one sent when there are so many stops, which are told behind what the program says
DEBUG = """echo "=== begin debug"
ip addr add 127.0.0.1/8 dev lo 2>/dev/null; ip link set lo up
mkfifo packets
run -q board.ini -s boot.kernel=/w/{0} -s monitor.socket=off --wait --gdb tcp:127.0.0.1:4711 > debug-said 2>&1 &
machine=$!
until netstat -ltn | grep -q :4711 || ! kill -0 $machine; do usleep 50000; done
nc 127.0.0.1 4711 < packets > stops &
exec 4> packets
stops() {{ until [ $(tr '$' '\\n' < stops | grep -c '^T05') -ge $1 ] || ! kill -0 $machine; do usleep 50000; done; }}
{1}
# a stop too many, or the end
stops 3
kill $machine 2>/dev/null
wait $machine
status=$?
exec 4>&-
cat debug-said; echo "--- stops"; tr '$' '\\n' < stops
echo
echo "=== end $status"
"""
# with KVM's interrupt controllers, and with those of devices
SNAPSHOTS = [("snapshot", ["ticks"], "-s cpu.irqchip=kernel"), ("snapshot-pic", ["ticks", "PIC"], "-s cpu.irqchip=user")]
LINUX = """echo "=== begin %s"
run -q board.ini -s cpu.irqchip=%s -s boot.kernel=/w/vmlinuz -s boot.initrd=/w/inner.gz -s ram.size=256M -s cpu.triple-fault=stop \\
  -s 'boot.append=console=ttyS0 acpi=off pci=off %s panic=-1 reboot=t mitigations=off quiet'
echo "=== end $?"
"""
# by the 8259A and the 8254 alone, without ACPI and so without PCI, whose inputs only ACPI's tables tell
LINUXES = [("linux-kernel", "kernel", "noapic"), ("linux-split", "split", "noapic"), ("linux-user", "user", "nolapic")]
# two CPUs, memory above 4 GiB too, everything by the tables; the button is pressed when the guest says that it waits
ACPI = """echo "=== begin %s"
rm -f acpi-said
run -q tall.ini -s cpu.irqchip=%s -s boot.kernel=/w/vmlinuz -s boot.initrd=/w/tables.gz -s ram.size=256M -s cpu.count=2 \\
  -s 'boot.append=console=ttyS0 panic=-1 mitigations=off quiet' > acpi-said 2>&1 &
machine=$!
until grep -qs 'inner waits' acpi-said || ! kill -0 $machine; do usleep 100000; done
mortise ctl /w/ctl powerdown
wait $machine
status=$?
cat acpi-said
echo "=== end $status"
"""
ACPIS = [("linux-acpi-" + irqchip, irqchip) for irqchip in ("kernel", "split", "user")]
# a disk whose messages KVM sends by itself, read over and over; the second machine goes on in the middle
MESSAGES = """echo "=== begin {0}"
head -c {3} /dev/zero | tr '\\000' Z > disk
run --verbose board.ini -s cpu.irqchip={1} {2} -s boot.kernel=/w/vmlinuz -s boot.initrd=/w/disk.gz -s ram.size=192M -s cpu.count=2 \\
  -s 'boot.append=console=ttyS0 panic=-1 mitigations=off quiet' > first 2>&1 &
machine=$!
until grep -qs 'tick 5' first || ! kill -0 $machine; do usleep 50000; done
mortise ctl /w/ctl pause && mortise ctl /w/ctl snapshot /w/{0} && mortise ctl /w/ctl quit
wait $machine
run --verbose --restore /w/{0} > second 2>&1
status=$?
rm -rf /w/{0}
cat first; echo "--- second"; cat second
echo "=== end $status"
"""
MESSAGES_BY = [("messages-kernel", "kernel"), ("messages-split", "split")]
# the menu's key, when the firmware asks for it, and the first of the disks; then the firmware's messages, and what it and
# the disk's boot sector say on the serial port. The second disk is NVMe, with two CPUs and without the menu.
BIOS = """echo "=== begin bios"
mkfifo keys
mortise run --plugin-path /w -q bios.ini %s -s fwcfg.number.2=etc/boot-menu-wait=600000 < keys > bios-said 2>&1 &
machine=$!
exec 3> keys
until grep -q 'boot menu' bios-said || ! kill -0 $machine; do usleep 100000; done
printf "\\033" >&3
until grep -q '^1\\. ' bios-said || ! kill -0 $machine; do usleep 100000; done
printf 1 >&3
wait $machine
status=$?
exec 3>&-
cat log bios-said
echo "=== end $status"
"""
BIOS_NVME = """echo "=== begin bios-nvme"
run -q bios-nvme.ini %s -s cpu.count=2 > bios-said 2>&1
status=$?
cat log bios-said
echo "=== end $status"
"""
# the kernel has its driver of the button as a module: the event is switched on by hand
TABLES = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
echo "inner $(grep ^100000000- /proc/iomem)"
for d in /sys/bus/pci/devices/*; do echo "inner $(basename $d) $(cat $d/vendor $d/device $d/irq | tr '\\n' ' ')"; done
echo "inner cpus $(grep -c ^processor /proc/cpuinfo)"
grep -E 'acpi|ttyS0|rtc|timer' /proc/interrupts
printf "\\\\001" | dd of=/dev/port bs=1 seek=1539 count=1 2>/dev/null
echo "inner waits for its button"
until grep -q ' [1-9]' /sys/firmware/acpi/interrupts/ff_pwr_btn; do sleep 1; done
echo "inner heard it"
poweroff -f
"""
# the number, and how much of the disk is not as it should be, read anew
DISK = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev
insmod /virtio_blk.ko
n=0
while [ $n -lt %d ]; do
  n=$((n + 1))
  echo 1 > /proc/sys/vm/drop_caches
  echo "tick $n of $(wc -c < /dev/vda) without $(tr -d Z < /dev/vda | wc -c)"
done
grep virtio /proc/interrupts
poweroff -f
"""
DISK_TICKS = 40
INNER = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox echo "inner $(/bin/busybox uname -m) $(/bin/busybox grep -c ^processor /proc/cpuinfo)"
/bin/busybox grep -E ' (0|4|8):' /proc/interrupts
/bin/busybox reboot -f
"""


def guest(name):
    path = os.path.join(m.CACHE, "guests", "amd64", name)
    if not os.path.exists(path):
        raise m.Skip(f"the guest amd64/{name} is missing (make guests-all)")
    return path


def libraries(programs):
    """What the dynamic linker would load, by the paths where it looks."""
    text = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, check=True).stdout.decode()
    return sorted(set(re.findall(r"(/[^\s:]+\.so\S*) \(0x", text)))


def program_part(name, board, elf, vcpus, settings):
    words = " ".join("-s " + s for s in x86.settings_of("/w/" + os.path.basename(elf), vcpus, settings))
    return (f'echo "=== begin {name}"\nrun {x86.words_of(settings)[0]} {board}.ini {words}\nstatus=$?\n'
            f'[ ! -f {x86.SAID} ] || cat {x86.SAID}; rm -f {x86.SAID}\necho "=== end $status"\n')


def packet(text):
    return f"printf '%s' '+${text}#{sum(text.encode()) & 255:02x}' >&4"


def debug_part(path):
    """
    Steps, and points that nothing meets while the program steps through itself: those that something meets are not seen
    here, for the translator below does not look at debug registers of a guest in a guest.
    """
    names = subprocess.run(["nm", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    untouched = re.search(r"([0-9a-f]+) . untouched\n", names)[1].lstrip("0")
    words = [f"Z1,{untouched},1", f"Z2,{untouched},8", "s", 1, "s", 2, "c"]
    return DEBUG.format(os.path.basename(path), "\n".join(f"stops {w}" if isinstance(w, int) else packet(w) for w in words))


def parts_of(folder):
    """({part: its script}, the files of the programs that they run)"""
    files, parts = {}, {}

    def built(program, *defines):
        elf = x86.build(folder, program, *defines)
        files["w/" + os.path.basename(elf)] = (0o644, read(elf))
        return os.path.basename(elf)

    for i, (board, name, defines, vcpus, settings, _status, _pattern) in enumerate(x86.PROGRAMS):
        parts[f"program-{i}"] = program_part(f"program-{i}", board, built(name, *defines), vcpus, settings)
    for name, program, settings in SNAPSHOTS:
        parts[name] = SNAPSHOT.format(name, built(*program), settings)
    parts["debug"] = debug_part(os.path.join(folder, built("debug")))
    parts["live"] = LIVE.format(built("pages", "PAUSE=500000"))
    parts.update({words[0]: LINUX % words for words in LINUXES})
    parts.update({words[0]: ACPI % words for words in ACPIS})
    by_eventfd = " ".join("-s " + s for s in x86.BY_EVENTFD)
    parts.update({name: MESSAGES.format(name, irqchip, by_eventfd, x86.DISK_BYTES) for name, irqchip in MESSAGES_BY})
    settings = " ".join("-s " + s for s in x86.BIOS_SETTINGS)
    parts["bios"], parts["bios-nvme"] = BIOS % settings, BIOS_NVME % settings
    return parts, files


def contents(folder, parts):
    plugins = [os.path.join(m.BUILD, "plugins", p, ".libs", p + ".so") for p in x86.PLUGINS]
    files = {"bin/busybox": (0o755, read(guest("busybox"))), "bin/mortise": (0o755, read(m.EMULATOR)),
             "w/vmlinuz": (0o644, read(guest("vmlinuz")))}
    files.update({"w/" + name: (0o644, data) for name, data in x86.files_of().items()})
    files.update({name + ".ko": (0o644, read(guest(name + ".ko"))) for name in MODULES})
    files.update({"w/" + os.path.basename(p): (0o644, read(p)) for p in plugins})
    files.update({path[1:]: (0o755, read(path)) for path in libraries([m.EMULATOR, *plugins])})
    shipped = read(os.path.join(m.SOURCE, "conf/virt-x86_64-bios.ini"))
    files["w/bios.ini"] = (0o644, shipped + x86.BIOS.encode())
    files["w/bios-nvme.ini"] = (0o644, shipped + x86.BIOS.replace("virtio-blk\nbus = slot1", "nvme\nbus = pci").encode())
    files["w/firmware"] = (0o644, read(x86.FIRMWARE))
    files["w/sector"] = (0o644, read(x86.build_sector(folder)))
    files["w/inner.gz"] = (0o644, archive({"init": (0o755, INNER.encode()), "bin/busybox": files["bin/busybox"]}))
    files["w/tables.gz"] = (0o644, archive({"init": (0o755, TABLES.encode()), "bin/busybox": files["bin/busybox"]}))
    files["w/disk.gz"] = (0o644, archive({"init": (0o755, (DISK % DISK_TICKS).encode()), "bin/busybox": files["bin/busybox"],
                                          "virtio_blk.ko": (0o644, read(guest("virtio_blk.ko")))}))
    # the kernel hands words that are not its own to init
    script = "".join(f'if [ "$from" -le {i} ]; then\n{text}fi\n' for i, text in enumerate(parts.values()))
    files["init"] = (0o755, (HEAD % " ".join(MODULES) + script + "poweroff -f\n").encode())
    return files


def snapshot_judge(name, text):
    """The second run goes on where the first one stopped, which may be within a word, and says no tick again."""
    first, second = text.split("--- second\n")
    begun, said = (re.findall(r"tick (0x[0-9a-f]+)", t) for t in (first, first + second))
    wanted = [hex(n) for n in range(1, 41)]
    if said != wanted or len(begun) == len(said) or "done" not in second or "status 0" not in first:
        raise m.console.Failure(f"a snapshot does not go on where it was:\n{text[-3000:]}")
    m.step(f"{name} after {len(begun)} ticks: fine")


def live_judge(text):
    """The guest goes on in the middle, no page is older than it left it, and some were copied twice."""
    first, second = text.split("--- second\n")
    again = re.search(r"snapshot: (\d+) pages were written while memory was copied", first)
    rounds = second.count("round: ok")
    if not again or int(again[1]) < 1 or "FAILED" in text or "done" not in second or "status 0" not in first or rounds > 97:
        raise m.console.Failure(f"a snapshot of a guest that writes does not hold what it wrote:\n{text[-3000:]}")
    m.step(f"snapshot of a guest that writes, {again[1]} pages twice, {rounds} rounds to go: fine")


def messages_judge(name, text, status):
    """Each number once over both machines, the disk as it was written, and KVM sends in both of them."""
    first, second = text.split("--- second\n")
    ticks = re.findall(r"tick (\d+) of (\d+) without (\d+)", first + second)
    before = len(re.findall(r"tick \d+ of", first))
    wanted = [(str(n), str(x86.DISK_BYTES), "0") for n in range(1, DISK_TICKS + 1)]
    counts = re.findall(r"\d+: +(\d+) +(\d+) +PCI-MSIX?\S* +1-edge +virtio\d-req", second)
    if status or ticks != wanted or before == len(ticks) or not counts or sum(map(int, counts[0])) < DISK_TICKS:
        raise m.console.Failure(f"{name}: status {status}, the disk does not go on where it was:\n{text[-3000:]}")
    for what, said in ("first", first), ("second", second):
        if not re.search(x86.SENT, said):
            raise m.console.Failure(f"{name}: KVM sends no messages in the {what} machine:\n{said[-3000:]}")
    m.step(f"{name} after {before} ticks, {'+'.join(counts[0])} messages: fine")


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    if not shutil.which(PEER):
        raise m.Skip(f"{PEER} is missing")
    if not os.path.exists(x86.FIRMWARE):
        raise m.Skip("SeaBIOS is missing (Debian: seabios)")
    parts, files = parts_of(folder)
    files.update(contents(folder, parts))
    initrd = os.path.join(folder, "initrd")
    with open(initrd, "wb") as f:
        f.write(archive(files))

    # on a busy host the kernel's check of its timer comes too early for the translator
    def command_from(index):
        return [PEER, "-accel", "tcg", "-M", "q35", "-cpu", "max,+svm", "-m", "1G", "-smp", "2", "-nodefaults",
                "-nographic", "-serial", "stdio", "-no-reboot", "-kernel", guest("vmlinuz"), "-initrd", initrd, "-append",
                f"console=ttyS0 panic=-1 quiet mitigations=off no_timer_check from={index}"]

    text = nest.run_parts(command_from, list(parts), SECONDS)
    for i, (_board, name, defines, vcpus, settings, status, pattern) in enumerate(x86.PROGRAMS):
        said = output_of(text, f"program-{i}")
        if name == "features" and settings:
            pattern = x86.HIDDEN[settings[0]]
        x86.judge(" ".join([name, str(vcpus), *defines, *settings]), *said, status, pattern)
    for name, _program, _settings in SNAPSHOTS:
        snapshot_judge(name, output_of(text, name)[0])
    x86.judge("a debugger's steps and the program's own", *output_of(text, "debug"), 0,
              r"steps of its own: ok\nwatched 0x2\ndone\n(.*\n)*--- stops\n(?!(.*\n)*T05(.*\n)*T05(.*\n)*T05)"
              r"(.*\n)*T05(.*\n)*T05(.*\n)*W00")
    live_judge(output_of(text, "live")[0])
    for name, irqchip, _words in LINUXES:
        timer = "" if irqchip == "kernel" else r" *0: +\d\d+ +XT-PIC +timer\n"
        x86.judge(name, *output_of(text, name), 1, r"inner x86_64 1\n" + timer + r"(.*\n)*.*triple fault")
    for name, _words in ACPIS:
        x86.judge(name, *output_of(text, name), 0,
                  r"inner 100000000-103ffffff : System RAM\n(.*\n)*inner 0000:00:01.0 0x1af4 0x1042 17 *\n(.*\n)*inner cpus 2\n"
                  r"(.*\n)* *9: .*IO-APIC +9-fasteoi +acpi\n(.*\n)*inner heard it\n")
    for name, _irqchip in MESSAGES_BY:
        messages_judge(name, *output_of(text, name))
    x86.judge("SeaBIOS's menu and a virtio disk", *output_of(text, "bios"), 0,
              r"(?s)Press ESC for boot menu\..*Select boot device:\n+1\. Virtio disk" + x86.SECTOR_SAYS)
    x86.judge("SeaBIOS, an NVMe disk and two CPUs", *output_of(text, "bios-nvme"), 0,
              r"(?s)Found 2 cpu" + x86.SECTOR_SAYS)


if __name__ == "__main__":
    m.main(test)
