#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The header of qcow2: bits and extensions that nobody knows, and tables that lie over metadata. qemu-img is the judge."""
import json
import os
import struct

from img import MORTISE, img, need, need_formats, qemu_img, run, work_folder

CLUSTER = 65536
INCOMPATIBLE, COMPATIBLE, AUTOCLEAR = 72, 80, 88
DIRTY, CORRUPT = 1, 2
UNKNOWN = struct.pack('>II', 0x6d6f7274, 13) + b'keep me, will' + bytes(3)      # an extension


def put(path, at, data):
    with open(path, 'r+b') as f:
        f.seek(at)
        f.write(data)


def get(path, at, length=8):
    with open(path, 'rb') as f:
        f.seek(at)
        return int.from_bytes(f.read(length), 'big')


def flip(path, at, bits):
    put(path, at, struct.pack('>Q', get(path, at) | bits))


def io(path, *commands, code=0):
    return run(MORTISE, 'io', '-f', 'qcow2', *sum((['-c', c] for c in commands), []), path, code=code)


def extensions(path):
    """What lies between header and names: {type: bytes}."""
    with open(path, 'rb') as f:
        head = f.read(CLUSTER)
    at, found = int.from_bytes(head[100:104], 'big'), {}
    while True:
        kind, length = struct.unpack_from('>II', head, at)
        if not kind:
            return found
        found[kind] = head[at + 8:at + 8 + length]
        at += 8 + (length + 7) // 8 * 8


def extend(path):
    """One more extension, the first one."""
    with open(path, 'r+b') as f:
        head = bytearray(f.read(4096))
        at = int.from_bytes(head[100:104], 'big')
        assert not int.from_bytes(head[8:16], 'big'), 'a name would have to move'
        f.seek(0)
        f.write((head[:at] + UNKNOWN + head[at:])[:4096])


def check_incompatible():
    """Refused by number, whatever it is opened for, and left as it is."""
    for bit in (5, 20, 63):
        qemu_img('create', '-q', '-f', 'qcow2', 'i.qcow2', '1M')
        flip('i.qcow2', INCOMPATIBLE, 1 << bit)
        before = open('i.qcow2', 'rb').read()
        for words in (['info'], ['check'], ['convert', '-O', 'raw'], ['amend', '-o', 'lazy_refcounts=on'], ['check', '-r', 'all']):
            said = img(words[0], '-f', 'qcow2', *words[1:], 'i.qcow2', *(['o.raw'] if 'convert' in words else []), code=1).stderr
            assert f'bit {bit}' in said, f'{words}: {said}'
        assert f'bit {bit}' in io('i.qcow2', 'write 0 4k', code=1).stderr
        assert open('i.qcow2', 'rb').read() == before and not os.path.exists('o.raw')
        assert qemu_img('info', 'i.qcow2', code=None).returncode


def check_kept():
    """Compatible bits and extensions stay over all that rewrites the header; autoclear bits go with the first write, not before."""
    qemu_img('create', '-q', '-f', 'qcow2', 'k.qcow2', '1M')
    extend('k.qcow2')
    flip('k.qcow2', COMPATIBLE, 1 << 9)
    flip('k.qcow2', AUTOCLEAR, 1 << 17 | 1 << 40)
    before = open('k.qcow2', 'rb').read()
    img('info', '-f', 'qcow2', 'k.qcow2')
    img('check', '-q', '-f', 'qcow2', 'k.qcow2')
    img('convert', '-f', 'qcow2', '-O', 'raw', 'k.qcow2', 'k.raw')
    io('k.qcow2', 'read 0 1M', 'flush')
    run(MORTISE, 'io', '-r', '-f', 'qcow2', '-c', 'read 0 1M', 'k.qcow2')
    assert open('k.qcow2', 'rb').read() == before.ljust(4 * CLUSTER, b'\0'), 'it was only read, but for its last cluster'
    io('k.qcow2', 'write -P 1 0 64k')
    assert get('k.qcow2', AUTOCLEAR) == 0 and get('k.qcow2', COMPATIBLE) == 1 << 9
    for command in (['resize', '-q', '-f', 'qcow2', 'k.qcow2', '300G'], ['snapshot', '-f', 'qcow2', '-c', 's', 'k.qcow2'],
                    ['amend', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 'k.qcow2'], ['bitmap', '-f', 'qcow2', '--add', 'k.qcow2', 'b'],
                    ['rebase', '-u', '-f', 'qcow2', '-b', 'k.raw', '-F', 'raw', 'k.qcow2'], ['check', '-q', '-r', 'all', '-f', 'qcow2', 'k.qcow2'],
                    ['amend', '-f', 'qcow2', '-o', 'refcount_bits=16', 'k.qcow2'], ['snapshot', '-f', 'qcow2', '-a', 's', 'k.qcow2'],
                    ['rebase', '-u', '-f', 'qcow2', '-b', '', 'k.qcow2'], ['bitmap', '-f', 'qcow2', '--remove', 'k.qcow2', 'b']):
        img(*command)
        assert extensions('k.qcow2').get(0x6d6f7274) == UNKNOWN[8:21], command
        assert get('k.qcow2', COMPATIBLE) & 1 << 9, command
        qemu_img('check', '-q', 'k.qcow2')


def places(path):
    """Where metadata are: (what, offset). A place of 0 is none at all."""
    l1, table = get(path, 40), get(path, 48)
    yield 'L1 table', l1
    yield 'refcount table', table
    yield 'refcount block', get(path, table)
    yield 'L2 table', get(path, l1) & 0xfffffffffffe00
    yield 'snapshot table', get(path, 64)


def check_overlap():
    """An entry that says that data lie where metadata are: a write there is refused and marks the image; nothing is written over."""
    qemu_img('create', '-q', '-f', 'qcow2', 'good.qcow2', '1M')
    io('good.qcow2', 'write -P 1 0 256k', 'snapshot create s', 'write -P 2 0 192k')
    for what, victim in list(places('good.qcow2')):
        with open('good.qcow2', 'rb') as f:
            image = f.read()
        with open('bad.qcow2', 'wb') as f:
            f.write(image)
        l2 = get('bad.qcow2', get('bad.qcow2', 40)) & 0xfffffffffffe00
        put('bad.qcow2', l2 + 8, struct.pack('>Q', victim | 1 << 63))            # guest cluster 1
        kept = image[victim:victim + CLUSTER] if victim != l2 else None
        done = io('bad.qcow2', 'read -P 2 0 64k', 'write -P 9 64k 4k', code=1)
        assert 'read 65536' in done.stdout and 'wrote' not in done.stdout, f'{what}: {done.stdout}'
        assert get('bad.qcow2', 0, 4) == 0x514649fb and get('bad.qcow2', INCOMPATIBLE) & CORRUPT, f'{what}: it is not marked'
        if kept:
            with open('bad.qcow2', 'rb') as f:
                f.seek(victim)
                assert f.read(CLUSTER) == kept, f'{what} was written over'
        # from then on it can be read, not written, until it was mended
        assert io('bad.qcow2', 'write -P 9 128k 4k', code=1).stderr
        run(MORTISE, 'io', '-r', '-f', 'qcow2', '-c', 'read -P 2 0 64k', '-c', 'read -P 2 128k 64k', '-c', 'read -P 1 192k 64k', 'bad.qcow2')
        assert json.loads(img('check', '--output=json', '-f', 'qcow2', 'bad.qcow2', code=2).stdout)['corruptions']
        img('check', '-q', '-r', 'all', '-f', 'qcow2', 'bad.qcow2')
        qemu_img('check', '-q', 'bad.qcow2')
        io('bad.qcow2', 'read -P 2 0 64k', 'read -P 1 192k 64k', 'write -P 5 64k 64k', 'read -P 5 64k 64k')
        assert not get('bad.qcow2', INCOMPATIBLE) & CORRUPT
        if victim == l2:                                           # a table that is data too stays both, so it was copied
            img('check', '-q', '-r', 'all', '-f', 'qcow2', 'bad.qcow2')
        qemu_img('check', '-q', 'bad.qcow2')
        img('convert', '-f', 'qcow2', '-l', 's', '-O', 'raw', 'bad.qcow2', 's.raw')
        with open('s.raw', 'rb') as f:
            assert f.read(262144) == b'\1' * 262144, f'{what}: the snapshot is another'
        print(f'overlap: {what}')


def main():
    need('qemu-img')
    need_formats('qcow2')
    folder = work_folder()
    for check in (check_incompatible, check_kept, check_overlap):
        check()
        print(check.__name__)
    folder.cleanup()


main()
