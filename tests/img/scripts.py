#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeded random scripts: `mortise io` does them, a byte array says what must be there, qemu-img judges the image, and others read it.

Each script makes an image (some above another one), and writes, zeroes, discards, compresses, flushes, takes snapshots, grows and
reopens; every read is checked while it runs. MORTISE_LONG=1: ten times as many. SEED chooses others, words choose formats.
"""
import os
import random
import sys

from img import MORTISE, SEED, chosen, img, need, qemu_img, run, work_folder
from readers import others

COUNT = 500 if os.environ.get('MORTISE_LONG') else 50    # of a format, over all its forms
OPS = 60
KINDS = [
    ('raw', ''), ('vdi', ''), ('vmdk', ''), ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'subformat=monolithicFlat'),
    ('qcow2', ''), ('qcow2', 'compat=0.10'), ('qcow2', 'cluster_size=512'), ('qcow2', 'cluster_size=2M'),
    ('qcow2', 'refcount_bits=1'), ('qcow2', 'extended_l2=on,cluster_size=64k'), ('qcow2', 'compression_type=zstd'),
]


class Script:
    def __init__(self, rng, fmt, options):
        self.rng, self.fmt, self.options = rng, fmt, options
        self.disk = bytearray(rng.choice([1 << 20, (1 << 20) + 512, 3 << 20]))
        self.snapshots = {}
        self.discarded = []
        self.lines = []
        self.path = 'script.' + fmt
        self.above = False

    def make(self):
        words = ['-o', self.options] if self.options else []
        if self.fmt in ('qcow2', 'vmdk') and 'Flat' not in self.options and 'Extent' not in self.options and self.rng.random() < .4:
            below = 'below.' + self.fmt
            size = len(self.disk) if self.fmt == 'vmdk' else self.rng.choice([65536, len(self.disk), 2 * len(self.disk)])
            img('create', '-q', '-f', self.fmt, below, size)
            n = min(size, 1 << 20)
            run(MORTISE, 'io', '-q', '-f', self.fmt, '-c', f'write -P 250 0 {n}', below)
            shown = min(n, len(self.disk))
            self.disk[:shown] = b'\xfa' * shown
            words += ['-b', below, '-F', self.fmt]
            self.above = True
        img('create', '-q', '-f', self.fmt, *words, self.path, len(self.disk))

    def range(self, unit=512):
        start = self.rng.randrange(0, len(self.disk), unit)
        return start, min(self.rng.choice([unit, 4096, 65536, 300000]) // unit * unit or unit, len(self.disk) - start)

    def put(self, start, data):
        self.disk[start:start + len(data)] = data

    def op_write(self):
        start, n = self.range(self.rng.choice([1, 512, 512, 4096]))
        value = self.rng.randrange(1, 256)
        self.lines.append(f'{self.rng.choice(["write", "aio_write"])} -P {value} {start} {n}')
        if self.lines[-1].startswith('aio'):
            self.lines.append('aio_flush')
        self.put(start, bytes([value]) * n)

    def op_zero(self):
        start, n = self.range()
        self.lines.append(f'write -z {self.rng.choice(["", "-u "])}{start} {n}')
        self.put(start, bytes(n))

    def op_discard(self):
        """What was discarded is undefined, so it is written at once."""
        start, n = self.range()
        self.lines += [f'discard {start} {n}', f'write -P 17 {start} {n}']
        self.put(start, b'\x11' * n)

    def op_compress(self):
        if self.fmt != 'qcow2':
            return self.op_write()
        start = self.rng.randrange(0, len(self.disk), 65536)
        n = min(65536, len(self.disk) - start)
        value = self.rng.randrange(1, 256)
        self.lines.append(f'write -c -P {value} {start} {n}')
        return self.put(start, bytes([value]) * n)

    def op_read(self):
        start, n = self.range(1)
        while n and self.disk[start:start + n] != self.disk[start:start + 1] * n:
            n //= 2
        if n:
            self.lines.append(f'read -P {self.disk[start]} {start} {n}')

    def op_flush(self):
        self.lines.append('flush')

    def op_reopen(self):
        self.lines.append('reopen -w')

    def op_snapshot(self):
        if self.fmt != 'qcow2' or 'refcount_bits=1' in self.options:
            return
        name = f's{self.rng.randrange(3)}'
        if name not in self.snapshots:
            self.lines.append(f'snapshot create {name}')
            self.snapshots[name] = bytes(self.disk)
        elif self.rng.random() < .5:
            self.lines.append(f'snapshot apply {name}')
            self.disk[:] = self.snapshots[name]
        else:
            self.lines.append(f'snapshot delete {name}')
            del self.snapshots[name]

    def go(self):
        ops = [self.op_write] * 8 + [self.op_read] * 5 + [self.op_zero, self.op_discard, self.op_compress] * 2
        ops += [self.op_flush, self.op_reopen, self.op_snapshot]
        self.make()
        for _ in range(OPS):
            self.rng.choice(ops)()
        run(MORTISE, 'io', '-q', '-f', self.fmt, self.path, input='\n'.join(self.lines) + '\n')

    def judge(self):
        if self.fmt in ('qcow2', 'vdi'):
            qemu_img('check', '-q', '-f', self.fmt, self.path)
        if self.fmt == 'qcow2':
            img('check', '-q', '-f', self.fmt, self.path)
        for tool in (qemu_img, img):
            tool('convert', '-f', self.fmt, '-O', 'raw', self.path, 'judged.raw')
            if open('judged.raw', 'rb').read().ljust(len(self.disk), b'\0') != bytes(self.disk):
                sys.exit('the disk is not what was written')
        for name, read in [] if self.above else others(self.fmt, self.options):
            assert read(self.fmt, self.path, self.disk)[:len(self.disk)] == self.disk, f'{name} reads something else'
        for name, disk in self.snapshots.items():
            qemu_img('convert', '-f', self.fmt, '-l', name, '-O', 'raw', self.path, 'judged.raw')
            assert open('judged.raw', 'rb').read() == disk, f'snapshot {name}'


def main():
    need('qemu-img')
    folder = work_folder()
    for fmt, options, forms in chosen(KINDS):
        count = -(-COUNT // forms)
        for number in range(count):
            seed = f'{SEED}/{fmt}/{options}/{number}'
            script = Script(random.Random(seed), fmt, options)
            try:
                script.go()
                script.judge()
            except (SystemExit, AssertionError) as fault:
                print('\n'.join(script.lines))
                sys.exit(f'script {seed}: {fault}')
        print(f'{fmt} {options}: {count} scripts', *(name for name, _ in others(fmt, options)))
    folder.cleanup()


main()
