#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An error at every operation on an image's file, of every format, for a fixed script: it is told, nothing is corrupt, what did not
fail is there, and the image can be used. Without MORTISE_LONG=1 at every fourth. Words choose formats."""
import os
import sys

from img import MORTISE, chosen, img, need, run, sound, work_folder

SIZE = 2 << 20
KINDS = [
    ('raw', ''), ('vdi', ''), ('vdi', 'static=on'), ('vmdk', ''), ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'zeroed_grain=on'),
    ('qcow2', ''), ('qcow2', 'cluster_size=512'), ('qcow2', 'compat=0.10'), ('qcow2', 'lazy_refcounts=on'),
    ('qcow2', 'extended_l2=on,cluster_size=64k'), ('qcow2', 'compression_type=zstd,refcount_bits=1'),
]
# (value, offset, bytes) of the parts of the script; a flush ends each
PARTS = [
    [(1, 0, 192 << 10), (2, 300 << 10, 512)],
    [(3, 100 << 10, 64 << 10), (0, 20 << 10, 90 << 10), (4, SIZE - 512, 512)],
    [(5, 1 << 20, 130 << 10), (6, 50176, 512)],
]
TOLD = 'write+flush'                     # those whose errors are told: to give space back is tried only
MARK = ['-c', 'length']


def commands():
    """[(command, (value, offset, bytes) or None)]"""
    for part in PARTS:
        for value, at, length in part:
            yield f'write -P {value} {at} {length}' if value else f'write -z -u {at} {length}', (value, at, length)
        yield 'discard 1500k 128k', None
        yield 'flush', None


def go(fmt, path, rule):
    """What each command said, and the exit code."""
    words = [w for line, _ in commands() for w in ('-c', line, *MARK)]
    done = run(MORTISE, 'io', '-f', fmt, '--through', 'fault,rule=' + rule, *words, path, code=None, merged=True)
    assert done.returncode in (0, 1), done.stdout
    return done.stdout.split('2 MiB\n'), done.returncode


def make(fmt, options, path):
    for name in os.listdir('.'):
        os.unlink(name)
    img('create', '-q', '-f', fmt, *(['-o', options] if options else []), path, SIZE)


def look(fmt, path, said, code):
    """
    Each sector has what the last write that did not fail wrote, or what one that failed since might have. If a flush failed,
    or the end: anything that was written since the last good one.
    """
    now, since = [{0} for _ in range(SIZE // 512)], [{0} for _ in range(SIZE // 512)]
    for (line, write), text in zip(commands(), said):
        for sector in range(write[1] // 512, (write[1] + write[2]) // 512) if write else ():
            now[sector] = {write[0]} if 'wrote' in text else now[sector] | {write[0]}
            since[sector] = since[sector] | {write[0]}
        if line == 'flush' and not text:
            since = list(now)
    img('convert', '-f', fmt, '-O', 'raw', path, 'rest')
    with open('rest', 'rb') as f:
        rest = f.read()
    for sector, values in enumerate(since if code else now):
        there = rest[sector * 512:(sector + 1) * 512]
        assert there in [bytes([v]) * 512 for v in values], f'sector {sector}: {there[0]}, and not {values}'


def one(fmt, options, rule):
    path = 'faulty.' + fmt
    make(fmt, options, path)
    said, code = go(fmt, path, rule)
    run(MORTISE, 'io', '-q', '-f', fmt, '-c', 'read 0 512', path)     # opened for writing: what is dirty is mended
    sound(fmt, path)
    look(fmt, path, said, code)
    run(MORTISE, 'io', '-q', '-f', fmt, '-c', f'write -P 7 0 {SIZE}', '-c', 'flush', '-c', f'read -P 7 0 {SIZE}', path)
    sound(fmt, path)
    return code


def each(fmt, options):
    """How many operations there were."""
    count = 0
    while True:                          # as long as an error at the next one, and at all that follow, is told
        make(fmt, options, 'probe.' + fmt)
        if go(fmt, 'probe.' + fmt, f'{TOLD} after={count} error=EIO')[1] == 0:
            break
        count += 1
    for n in range(0, count + 2, 1 if os.environ.get('MORTISE_LONG') else 4):
        for what in (TOLD, 'any'):
            rule = f'{what} after={n} once error=EIO'
            try:
                code = one(fmt, options, rule)
                assert what == 'any' or code == (n < count), f'exit code {code}, of {count} operations'
            except (SystemExit, AssertionError) as fault:
                sys.exit(f'{fmt} {options}, {rule}: {fault}')
    return count


def main():
    need('qemu-img')
    folder = work_folder()
    for fmt, options, _forms in chosen(KINDS):
        print(f'{fmt} {options}: {each(fmt, options)} operations', flush=True)
    os.chdir('/')
    folder.cleanup()


main()
