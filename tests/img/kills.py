#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 at any time while `mortise io` writes with many requests under way: what a flush has acknowledged is there, the image
is sound, what leaked is given back, and the disk can be written. MORTISE_LONG=1: 300 kills of each format; words choose formats."""
import contextlib
import os
import random
import subprocess
import sys
import threading
import time

from img import MORTISE, SEED, chosen, img, need, qemu_img, run, sound, work_folder

COUNT = 300 if os.environ.get('MORTISE_LONG') else 15     # of a format, over all its forms
SIZE = 3 << 20
DEPTH = 8                                                 # writes between flushes
ROUNDS = 3000
KINDS = [
    ('raw', ''), ('vdi', ''), ('vmdk', ''), ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'delta'),
    ('qcow2', ''), ('qcow2', 'cluster_size=512'), ('qcow2', 'delta'),
]


def make(fmt, options, path):
    """The disk's first content."""
    if options != 'delta':
        img('create', '-q', '-f', fmt, *(['-o', options] if options else []), path, SIZE)
        return bytearray(SIZE)
    img('create', '-q', '-f', fmt, 'below.' + fmt, SIZE)
    run(MORTISE, 'io', '-q', '-f', fmt, '-c', 'write -P 250 0 2M', 'below.' + fmt)
    img('create', '-q', '-f', fmt, '-b', 'below.' + fmt, '-F', fmt, path, SIZE)
    return bytearray(b'\xfa' * (2 << 20)).ljust(SIZE, b'\0')


def story(rng):
    """ROUNDS of writes that do not overlap: [[(offset, bytes, value), ...], ...]."""
    span = SIZE // DEPTH

    def write(number):
        length = rng.randrange(512, 65536, 512)
        return number * span + rng.randrange(0, span - length, 512), length, rng.randrange(256)
    return [[write(number) for number in range(DEPTH)] for _ in range(ROUNDS)]


def tell(pipe, rounds):
    """What the victim shall do; each round ends with a line that only a flush lets it print."""
    with contextlib.suppress(BrokenPipeError):
        for writes in rounds:
            text = [f'aio_write -q {f"-P {value}" if value else "-z -u"} {at} {length}\n' for at, length, value in writes]
            os.write(pipe, ''.join(text + ['aio_flush\nflush\nlength\n']).encode())
    os.close(pipe)


def kill(rng, fmt, path, rounds):
    """How many rounds were acknowledged."""
    theirs, ours = os.pipe()
    with subprocess.Popen([MORTISE, 'io', '-f', fmt, path], stdin=theirs, stdout=subprocess.PIPE) as victim:
        os.close(theirs)
        teller = threading.Thread(target=tell, args=(ours, rounds))
        teller.start()
        assert victim.stdout.readline(), 'the victim ended by itself'
        time.sleep(rng.random() * 0.06)
        victim.kill()
        durable = 1 + victim.stdout.read().count(b'\n')
        teller.join()
    assert durable < ROUNDS, 'the victim had nothing left to write'
    return durable


def wait_until_free(path):
    """A killed process keeps its files, and their locks, until the kernel has taken down its io_uring."""
    end = time.monotonic() + 30
    while qemu_img('info', path, code=None).returncode and time.monotonic() < end:
        time.sleep(0.02)


def look(fmt, path, disk, rounds, durable):
    """Flushed bytes are there, but where the round that was under way may have written. `disk` is then what there is."""
    for writes in rounds[:durable]:
        for at, length, value in writes:
            disk[at:at + length] = bytes([value]) * length
    img('convert', '-f', fmt, '-O', 'raw', path, 'rest.raw')
    qemu_img('compare', '-q', '-f', fmt, '-F', 'raw', path, 'rest.raw')
    with open('rest.raw', 'rb') as f:
        rest = f.read()
    for at, length, value in rounds[durable]:
        for sector in range(at, at + length, 512):
            if rest[sector:sector + 512] == bytes([value]) * 512:
                disk[sector:sector + 512] = rest[sector:sector + 512]
    if rest != disk:
        wrong = next(i for i in range(SIZE) if rest[i] != disk[i])
        sys.exit(f'after {durable} flushes: byte {wrong} is {rest[wrong]}, and not {disk[wrong]}')


def one(fmt, options, number):
    rng = random.Random(f'{SEED}/{fmt}/{options}/{number}')
    path = 'killed.' + fmt
    disk, rounds = make(fmt, options, path), story(rng)
    durable = kill(rng, fmt, path, rounds)
    wait_until_free(path)
    look(fmt, path, disk, rounds, durable)
    sound(fmt, path)
    run(MORTISE, 'io', '-q', '-f', fmt, '-c', f'write -P 7 0 {SIZE}', '-c', 'flush', '-c', f'read -P 7 0 {SIZE}', path)
    sound(fmt, path)
    return durable


def main():
    need('qemu-img')
    folder = work_folder()
    for fmt, options, forms in chosen(KINDS):
        count = -(-COUNT // forms)
        flushes = 0
        for number in range(count):
            try:
                flushes += one(fmt, options, number)
            except (SystemExit, AssertionError) as fault:
                sys.exit(f'{fmt} {options}, kill {number} of {SEED}: {fault}')
        print(f'{fmt} {options}: {count} kills after {flushes} flushes', flush=True)
    os.chdir('/')
    folder.cleanup()


main()
