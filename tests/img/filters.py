#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--through: a log of writes from which an image comes out the same, faults that are told and harm nothing, limits that hold."""
import os
import struct
import time

from img import MORTISE, img, need, qemu_img, run, same, work_folder

FLUSH, DISCARD = 1, 4


def replay(log, image, size, until=None):
    """Rebuilds a file from a log, by the format's description; the number of entries."""
    data = open(log, 'rb').read()
    magic, version, entries, sector = struct.unpack_from('<QQQI', data)
    assert (magic, version, sector) == (0x6a736677736872, 1, 512), (hex(magic), version, sector)
    at = sector
    with open(image, 'wb') as f:
        f.truncate(size)
        for i in range(entries):
            where, count, flags, _ = struct.unpack_from('<QQQQ', data, at)
            at += sector
            if i == until:
                return flags
            f.seek(where * 512)
            if flags & DISCARD:
                f.write(bytes(count * 512))
                continue
            f.write(data[at:at + count * 512])
            at += count * 512
    assert at == len(data), (at, len(data))
    return entries


def io(image, fmt, *commands, through=(), code=0, more=()):
    args = [MORTISE, 'io', '-f', fmt, *more]
    for text in through:
        args += ['--through', text]
    for command in commands:
        args += ['-c', command]
    return run(*args, image, code=code)


def check_log():
    """The file of a qcow2 image comes out of the log byte by byte; what stands before a flush is in order."""
    qemu_img('create', '-q', '-f', 'qcow2', 'd.qcow2', '16M')
    before = open('d.qcow2', 'rb').read()
    open('w.log', 'wb').close()
    io('d.qcow2', 'qcow2', 'write -P 1 0 1M', 'flush', 'write -P 2 512k 2M', 'write -z 1M 128k', 'flush',
       'write -P 3 8M 64k', 'flush', 'discard 0 256k', 'flush', through=['logwrites,log=w.log'], more=['--cache', 'none'])
    after = open('d.qcow2', 'rb').read()
    # what the log does not have was there before
    count = replay('w.log', 'new', len(after))
    rebuilt = bytearray(open('new', 'rb').read())
    rebuilt[:len(before)] = after[:len(before)]
    assert rebuilt[len(before):] == after[len(before):], 'the log does not give the file'
    flushes = [i for i in range(count) if replay('w.log', 'x', len(after), until=i) == FLUSH]
    assert len(flushes) >= 4, flushes
    # appended to
    io('d.qcow2', 'qcow2', 'write -P 4 9M 64k', through=['logwrites,log=w.log,log-append=on'])
    assert replay('w.log', 'new', os.path.getsize('d.qcow2')) > count


def check_raw_log():
    """A raw disk is its log."""
    run('truncate', '-s', '4M', 'r.raw')
    open('r.log', 'wb').close()
    io('r.raw', 'raw', 'write -P 1 0 64k', 'write -P 2 4k 512', 'write -z 8k 4k', 'discard 32k 4k', 'write -P 9 4095k 1k',
       through=['block-logwrites,log=r.log'])
    replay('r.log', 'r.new', 4 << 20)
    same('r.raw', 'raw', 'r.new', 'raw')


def check_faults():
    """Every host operation of a fixed script fails once: the error is told, the image is in order and can be used."""
    script = ['write -P 1 0 192k', 'flush', 'write -P 2 100k 64k', 'flush']
    for n in range(14):
        qemu_img('create', '-q', '-f', 'qcow2', 'f.qcow2', '1M')
        done = io('f.qcow2', 'qcow2', *script, through=[f'fault,rule=any after={n} once error=EIO'], code=None)
        check = qemu_img('check', '-q', 'f.qcow2', code=None)
        assert check.returncode in (0, 3), (n, check.stdout, check.stderr)
        io('f.qcow2', 'qcow2', 'write -P 7 0 64k', 'read -P 7 0 64k')
        if done.returncode == 0:
            assert n > 4, n
    done = io('f.qcow2', 'qcow2', 'read 0 512', through=['fault,rule=any vanish'], code=1)
    assert 'f.qcow2' in done.stderr, done.stderr


def check_row():
    """Filters in a row: what the first refuses is not in the log of the second."""
    run('truncate', '-s', '1M', 'c.raw')
    open('c.log', 'wb').close()
    io('c.raw', 'raw', 'write -P 1 0 512', 'write -P 2 512 512', 'write -P 3 1k 512', code=1,
       through=['fault,rule=write after=1 once error=ENOSPC', 'logwrites,log=c.log'])
    flags = [replay('c.log', 'x', 1 << 20, until=i) for i in range(replay('c.log', 'c.new', 1 << 20))]
    assert [f for f in flags if f != FLUSH] == [0, 0], flags
    same('c.raw', 'raw', 'c.new', 'raw')


def check_limits():
    """What is limited takes as long as it must."""
    run('truncate', '-s', '1M', 't.raw')
    begun = time.monotonic()
    io('t.raw', 'raw', *['write 0 4k'] * 8, through=['throttle,iops-write=20'])
    assert time.monotonic() - begun >= (8 - 1 - 2) / 20
    begun = time.monotonic()
    img('convert', '-f', 'raw', '-O', 'raw', '--through', 'throttle,bps-read=4M', 't.raw', 'u.raw')
    same('t.raw', 'raw', 'u.raw', 'raw')


def check_refusals():
    """What is no filter, or no property, is named."""
    for text, words in [('throttle', 'no limit'), ('raw', 'no filter'), ('nothing', 'nothing'), ('fault,rul=x', "'rul'"),
                        ('throttle,bps-total=x', 'bps-total'), ('logwrites', 'wants log'),
                        ('fault,rule=write', 'rule wants'), ('logwrites,log=not-there', 'not-there')]:
        done = io('t.raw', 'raw', 'quit', through=[text], code=1)
        assert words in done.stderr, (text, done.stderr)


need('qemu-img', 'truncate')
with work_folder():
    for check in (check_log, check_raw_log, check_faults, check_row, check_limits, check_refusals):
        check()
        print(check.__name__)
