#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's gdb-multiarch on Debian's kernel, two harts: a break by symbol where a system call enters the kernel and one by
address where it copies in a loop, which is stepped into and over; registers of each hart, virtual addresses, a watched
variable of the kernel; the guest then goes on as if nothing had been."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import console  # noqa: E402
import debugger  # noqa: E402
import machines as m  # noqa: E402

LOOP = "fallback_scalar_usercopy"     # of copies from and to programs
CALL = r"(__riscv_sys_sethostname|__se_sys_sethostname|sys_sethostname)"


def symbol(guest, pattern):
    """Name and address, of the running kernel's own list."""
    found = m.shell(guest, f"grep -E ' [A-Za-z] {pattern}$' /proc/kallsyms", rb"[0-9a-f]{16} [A-Za-z] \S+")
    address, _, name = found[1].decode().split()
    return name, int(address, 16)


def symbol_file(folder, name, address):
    """An ELF file that says where the kernel has this function; Debian's kernel comes without."""
    if not shutil.which(m.CROSS):
        raise m.Skip(f"{m.CROSS} is missing")
    source, path = os.path.join(folder, "symbol.S"), os.path.join(folder, "symbol")
    with open(source, "w", encoding="utf-8") as f:
        f.write(f".globl {name}\n.type {name}, @function\n{name}: nop\n.size {name}, 4\n")
    subprocess.run([m.CROSS, "-nostdlib", "-nostartfiles", "-static", "-Wl,--build-id=none,-n", f"-Wl,-e,{name}",
                    f"-Wl,-Ttext={address:#x}", "-o", path, source], check=True)
    return path


def test(folder):
    debugger.need()
    path = os.path.join(folder, "gdb")
    machine = m.linux("", harts=2)
    m.need_emulator()
    m.need_firmware()
    with console.Console([*machine.command(folder=folder), "--gdb", "unix:" + path]) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        name, call = symbol(guest, CALL)
        _, uts = symbol(guest, "init_uts_ns")
        _, loop = symbol(guest, LOOP)
        # struct uts_namespace begins with struct new_utsname, whose second string of 65 bytes is the node's name
        node = uts + 65
        words = [
            ("info threads", r"vcpu0(.|\n)*vcpu1"),
            ("break *" + name, r"Breakpoint 1 at"),
            ("continue", rf"hit Breakpoint 1, 0x{call:016x} in {name} \(\)"),
            ("print $pc == " + hex(call), r"\$1 = 1"),
            ("info registers priv", r"Supervisor"),
            ("x/2i $pc", rf"=> 0x{call:x}"),
            ("print ($satp >> 60) & 15", r"= (8|9|10)\n"),
            (f"monitor translate {call:x}", r"^0x[0-9a-f]{8}$"),
            ("stepi 10", r"0x"),
            ("thread apply all print $pc", r"Thread 2(.|\n)*Thread 1"),
            ("print (char)*(char *)" + hex(node), r"100 'd'"),
            ("delete", r""),
            (f"break *{loop:#x}", rf"Breakpoint 2 at {loop:#x}"),
            ("continue", rf"hit Breakpoint 2, 0x{loop:016x} in"),
            ("set $copied = $a2", r""),
            ("set $end = $ra", r""),
            ("delete", r""),
            ("print $copied > 0 && $copied < 0x10000", r"= 1"),
            ("stepi 20", r"0x"),
            (f"print $pc > {loop:#x} && $pc < {loop + 2048:#x}", r"= 1"),
            ("tbreak *$end", r"Temporary breakpoint 3"),
            ("continue", r"hit Temporary breakpoint 3"),
            ("print $pc == $end", r"= 1"),
            ("thread apply all info registers pc sp satp sstatus",
             r"Thread 2(.|\n)*pc .*\nsp .*\nsatp .*\nsstatus (.|\n)*Thread 1(.|\n)*pc .*\nsp .*\nsatp .*\nsstatus "),
            ("thread 1", r"Switching to thread 1"),
            ("x/i $pc", r"=> 0x"),
            ("thread 2", r"Switching to thread 2"),
            ("x/i $pc", r"=> 0x"),
            ("watch *(char *)" + hex(node), r"Hardware watchpoint 4"),
            ("continue", r"hit Hardware watchpoint 4(.|\n)*Old value = 100 'd'\nNew value = 111 'o'"),
            ("delete", r""),
            ("detach", r"detached"),
        ]
        first = [f"symbol-file {symbol_file(folder, name, call)}", f"target remote {path}"]
        # its sleep is over when the debugger has let it go on
        m.shell(guest, "(sleep 2; hostname other) & echo it's' coming", rb"its coming")
        debugger.talk(folder, first, words, m.BOOT_SECONDS)
        m.shell(guest, "hostname", rb"other")
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)


m.main(test)
