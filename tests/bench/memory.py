#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory of the emulator's process when a Debian guest of 1 GiB has booted to its shell, by what it is used for.

guest RAM: what the guest has touched of its RAM. code: memory for translated code. rest: everything else, that is the
emulator itself. Read from /proc/PID/smaps; a page that is mapped twice counts once (proportional set size) in these.
"""
import re
import statistics
import sys
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
RAM_KIB = 1 << 20
KINDS = ("guest_ram", "code", "rest", "resident", "peak")
HEAD = re.compile(r"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+ *(.*)$")


def kind_of(permissions, name, size_kib):
    """What a mapping holds. QEMU's RAM is the one mapping of its size; its code memory is writable and executable."""
    if size_kib >= RAM_KIB * 9 // 10 and "x" not in permissions:
        return "guest_ram"
    if "mortise-code" in name or ("x" in permissions and not name.startswith("/") and not name.startswith("[")):
        return "code"
    if "memfd" in name and "x" in permissions:
        return "code"
    return "rest"


def mappings(pid):
    """(permissions, name, {field: KiB}) of each mapping."""
    current = None
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as f:
        for line in f:
            head = HEAD.match(line)
            if head:
                if current:
                    yield current
                current = (head[1], head[2], {})
            else:
                field, _, value = line.partition(":")
                if value.endswith(" kB\n"):
                    current[2][field] = int(value[:-4])
    if current:
        yield current


def look(pid):
    """KiB by kind, resident and peak of a process."""
    result = dict.fromkeys(KINDS, 0)
    for permissions, name, fields in mappings(pid):
        result[kind_of(permissions, name, fields["Size"])] += fields["Pss"]
        result["resident"] += fields["Rss"]
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        result["peak"] = int(re.search(r"VmHWM:\s*(\d+)", f.read())[1])
    return result


def run_once(machine, program, folder):
    with m.console.Console(machine.command(program, folder)) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        time.sleep(1)
        result = look(guest.pid)
        guest.type(b"\x01x")
        m.ends_with(guest, 0)
    return result


def text(result):
    print(f"Memory after boot, guest of 1 GiB, {result['rounds']} round(s): median MiB")
    rows = [[name] + [f"{e[k] / 1024:.1f}" for k in KINDS] for name, e in result["emulators"].items()]
    peers.table([""] + [k.replace("_", " ") for k in KINDS], rows)


def bench(folder):
    args = peers.parse(peers.arguments(__doc__, rounds=1))
    m.need_firmware()
    machine = m.linux("")
    emulators = peers.find(args.only)
    runs = {name: [] for name in emulators}
    for i, name in peers.rounds(emulators, args.rounds):
        runs[name].append(run_once(machine, emulators[name], folder))
        peers.note(args, f"round {i + 1}: {name}")
    medians = {name: {k: statistics.median(r[k] for r in list_of) for k in KINDS} for name, list_of in runs.items()}
    peers.finish(args, {"benchmark": "memory", "rounds": args.rounds, "emulators": medians, "runs": runs}, text)


peers.main(bench)
