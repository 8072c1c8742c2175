#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where files end: a unit of which little was written is in the file whole, once metadata point to it.

After a close, and after a program that died behind a flush. Others than QEMU read no file that ends inside of a unit.
"""
import glob
import os

from img import MORTISE, img, need, qemu_img, run, work_folder

# format, options, bytes of a unit
KINDS = [
    ('qcow2', '', 65536), ('qcow2', 'cluster_size=2M', 2 << 20), ('qcow2', 'cluster_size=512', 512),
    ('vdi', '', 1 << 20), ('vmdk', '', 65536), ('vmdk', 'subformat=twoGbMaxExtentSparse', 65536),
]
ENDS = [('a close', []), ('a flush and a crash', ['flush', 'abort'])]
SIZE = (3 << 20) + 512


def extent(path):
    """The file that the data are in."""
    return (glob.glob(path.replace('.vmdk', '-s*.vmdk')) or [path])[0]


def check(fmt, options, unit, cache, words, end):
    path = f'disk.{fmt}'
    img('create', '-q', '-f', fmt, *(['-o', options] if options else []), path, SIZE)
    commands = ['write -P 7 1000 300k', 'write -P 8 2M 512', *end]
    done = run(MORTISE, 'io', '-q', '-f', fmt, '-t', cache, *[w for c in commands for w in ('-c', c)], path, code=None)
    assert (done.returncode != 0) == bool(end), (words, done.returncode, done.stderr)
    name = extent(path)
    length = os.stat(name).st_size
    assert length % unit == 0, f'{fmt} {options} {cache}: after {words} the file has {length} bytes, {length % unit} too many'
    with open('want', 'wb') as f:
        f.truncate(SIZE)
        for start, value in ((1000, b'\7' * 300 * 1024), (2 << 20, b'\10' * 512)):
            f.seek(start)
            f.write(value)
    qemu_img('compare', '-q', '-f', fmt, '-F', 'raw', path, 'want')
    for left in glob.glob('disk*'):
        os.unlink(left)


def main():
    need('qemu-img')
    folder = work_folder()
    for fmt, options, unit in KINDS:
        for cache in ('writeback', 'none'):
            for words, end in ENDS:
                check(fmt, options, unit, cache, words, end)
    print(f'{len(KINDS)} kinds, {len(ENDS)} ends')
    folder.cleanup()


main()
