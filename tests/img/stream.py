#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""streamOptimized VMDK: what convert and io make is read from its beginning to its end, as those who import appliances do,
and by qemu-img. What such a file cannot be asked to do is refused.
"""
import json
import os
import re
import signal
import struct
import subprocess
import time
import zlib

from img import MORTISE, img, leftovers, make_source, need, qemu_img, run, same, work_folder
from readers import others

SIZE = (40 << 20) + 512
SECTOR = 512
STREAM = ['-o', 'subformat=streamOptimized']
AT_END = (1 << 64) - 1


class Reader:
    """Goes through a stream by its markers alone; afterwards looks whether tables and footer say the same."""

    def __init__(self, path):
        self.data = open(path, 'rb').read()
        assert self.data[:4] == b'KDMV'
        version, flags, self.sectors, self.grain, text, text_sectors, self.entries = struct.unpack_from('<IIQQQQI', self.data, 4)
        directory, begin = struct.unpack_from('<QQ', self.data, 56)
        assert (version, flags, directory) == (3, 0x30001, AT_END), (version, flags, directory)
        assert b'createType="streamOptimized"' in self.data[text * SECTOR:(text + text_sectors) * SECTOR]
        self.disk = bytearray(self.sectors * SECTOR)
        self.grains, self.tables, self.directory, self.footer = {}, {}, None, None
        self.at = begin * SECTOR
        while self.step():
            pass
        assert self.at == len(self.data), 'there is something behind the end'
        self.check()

    def grain_read(self, sector, length):
        assert not self.grains or sector > max(self.grains), f'grain of sector {sector} is out of order'
        self.grains[sector] = self.at // SECTOR
        plain = zlib.decompress(self.data[self.at + 12:self.at + 12 + length])
        start = sector * SECTOR
        self.disk[start:start + len(plain)] = plain[:len(self.disk) - start]
        self.at = (self.at + 12 + length + SECTOR - 1) // SECTOR * SECTOR

    def step(self):
        value, length = struct.unpack_from('<QI', self.data, self.at)
        if length:
            self.grain_read(value, length)
            return True
        kind, = struct.unpack_from('<I', self.data, self.at + 12)
        self.at += SECTOR
        begin, self.at = self.at, self.at + value * SECTOR
        if kind == 1:
            self.tables[begin // SECTOR] = struct.unpack_from(f'<{self.entries}I', self.data, begin)
        elif kind == 2:
            self.directory = begin
        elif kind == 3:
            self.footer = begin
        else:
            assert (kind, value) == (0, 0), (kind, value)
        return kind != 0

    def check(self):
        place, = struct.unpack_from('<Q', self.data, self.footer + 56)
        assert place == self.directory // SECTOR
        assert self.data[self.footer:self.footer + 56] == self.data[:56]
        count = -(-self.sectors // (self.grain * self.entries))
        told = {}
        for i, table in enumerate(struct.unpack_from(f'<{count}I', self.data, self.directory)):
            for k, sector in enumerate(self.tables[table] if table else ()):
                if sector:
                    told[(i * self.entries + k) * self.grain] = sector
        assert told == self.grains, 'the tables tell of other grains than there are'


def length_of(path):
    return os.stat(path).st_size


def check_convert():
    img('convert', '-f', 'raw', '-O', 'vmdk', *STREAM, 'source.raw', 'ours.vmdk')
    stream = Reader('ours.vmdk')
    want = open('source.raw', 'rb').read()
    assert stream.disk == want
    assert stream.grain == 128 and all(want[s * SECTOR:(s + 128) * SECTOR].strip(b'\0') for s in stream.grains), 'grains of zeros'
    same('source.raw', 'raw', 'ours.vmdk', 'vmdk')
    for name, reader in others('vmdk', STREAM[1]):
        assert reader('vmdk', 'ours.vmdk', want) == want, f'{name} reads something else'
    qemu_img('check', '-q', '-f', 'vmdk', 'ours.vmdk')
    img('check', '-q', '-f', 'vmdk', 'ours.vmdk')
    img('compare', '-q', '-f', 'raw', '-F', 'vmdk', 'source.raw', 'ours.vmdk')
    info = json.loads(img('info', '--output=json', '-f', 'vmdk', 'ours.vmdk').stdout)
    assert info['virtual-size'] == SIZE and info['format-specific']['data']['create-type'] == 'streamOptimized', info
    qemu_img('convert', '-f', 'raw', '-O', 'vmdk', *STREAM, 'source.raw', 'theirs.vmdk')
    assert length_of('ours.vmdk') <= length_of('theirs.vmdk'), (length_of('ours.vmdk'), length_of('theirs.vmdk'))
    for threads in (1, 3, 16):
        img('convert', '-m', threads, '-f', 'vmdk', '-O', 'vmdk', *STREAM, 'theirs.vmdk', 'again.vmdk')
        assert Reader('again.vmdk').disk == want
    measured = json.loads(img('measure', '--output=json', '-f', 'raw', '-O', 'vmdk', *STREAM, 'source.raw').stdout)
    assert length_of('ours.vmdk') <= measured['required'] <= measured['fully-allocated']


def check_full_grains():
    """What does not get smaller is there all the same, and measured right."""
    with open('random.raw', 'wb') as f:
        f.write(os.urandom(5 << 20))
    img('convert', '-c', '-f', 'raw', '-O', 'vmdk', *STREAM, 'random.raw', 'random.vmdk')
    assert Reader('random.vmdk').disk == open('random.raw', 'rb').read()
    same('random.raw', 'raw', 'random.vmdk', 'vmdk')
    measured = json.loads(img('measure', '--output=json', '-f', 'raw', '-O', 'vmdk', *STREAM, 'random.raw').stdout)
    assert length_of('random.vmdk') <= measured['required'] < length_of('random.vmdk') + (64 << 10), measured


def io(*commands, code=0):
    return run(MORTISE, 'io', '-f', 'vmdk', *[w for c in commands for w in ('-c', c)], 'small.vmdk', code=code)


def check_io():
    """A new stream takes whole grains in order, each once; when it is closed, no more."""
    disk = bytearray((3 << 20) + 512)
    img('create', '-q', '-f', 'vmdk', *STREAM, 'small.vmdk', len(disk))
    assert Reader('small.vmdk').disk == disk
    empty = open('small.vmdk', 'rb').read()
    io('read -P 0 0 3M', 'write -z 64k 64k', 'discard 64k 64k', 'flush')
    assert open('small.vmdk', 'rb').read() == empty, 'nothing was written, and the file is another'
    for refused in ('write -P 1 64k 1000', 'write -P 1 1000 64k'):
        assert 'not supported' in io(refused, code=1).stdout
    assert open('small.vmdk', 'rb').read() == empty
    for refused in ('write -P 2 64k 64k', 'write -P 2 0 64k', 'write -z 64k 64k'):
        assert 'not permitted' in io('write -P 7 64k 128k', refused, 'read -P 7 64k 128k', 'write -P 8 3M 512', code=1).stdout
        disk[65536:3 * 65536], disk[3 << 20:] = b'\7' * 131072, b'\10' * 512
        assert Reader('small.vmdk').disk == disk
        done = io('write -P 7 1M 64k', code=1)
        assert 'can only be read' in done.stderr, done.stderr
        assert Reader('small.vmdk').disk == disk
        img('create', '-q', '-f', 'vmdk', *STREAM, 'small.vmdk', len(disk))
    io('write -P 7 64k 64k', 'flush', 'write -P 7 128k 64k', 'flush', 'flush', 'write -P 8 3M 512')
    assert Reader('small.vmdk').disk == disk
    with open('small.raw', 'wb') as f:
        f.write(disk)
    same('small.raw', 'raw', 'small.vmdk', 'vmdk')


def check_killed():
    """A stream that was not ended is known to be none; one that a flush has ended is whole."""
    for commands, whole in ((['flush', 'abort'], True), (['flush', 'write -P 9 2M 64k', 'abort'], False)):
        img('create', '-q', '-f', 'vmdk', *STREAM, 'small.vmdk', 3 << 20)
        io('write -P 7 64k 128k', *commands, code=None)
        done = img('info', '-f', 'vmdk', 'small.vmdk', code=0 if whole else 1)
        assert whole or 'cut off' in done.stderr, done.stderr
        if whole:
            assert len(Reader('small.vmdk').grains) == 2


def check_cancel():
    with subprocess.Popen([MORTISE, 'img', 'convert', '-r', '1M', '-f', 'raw', '-O', 'vmdk', *STREAM, 'source.raw', 'gone.vmdk'],
                          stderr=subprocess.PIPE) as process:
        while not leftovers() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 1, process.returncode
    assert not os.path.exists('gone.vmdk') and not leftovers(), os.listdir('.')
    refused = 'cannot be written: File too large'
    # among the grains, and in what ends the stream, where a grain of before may still be on its way
    for blocks, words in ((4096, refused), (10248, refused + '|the last changes could not be written')):
        done = run('sh', '-c', f'ulimit -f {blocks}; exec {MORTISE} img convert -f raw -O vmdk {" ".join(STREAM)} random.raw gone.vmdk',
                   code=1)
        assert re.search(words, done.stderr), done.stderr
        assert not os.path.exists('gone.vmdk') and not leftovers(), os.listdir('.')


def check_refusals():
    img('create', '-q', '-f', 'vmdk', 'below.vmdk', '3M')
    for words in (['-o', 'zeroed_grain=on'], ['-b', 'below.vmdk', '-F', 'vmdk']):
        done = img('create', '-f', 'vmdk', *STREAM, *words, 'no.vmdk', '3M', code=1)
        assert 'has all of its data itself' in done.stderr, done.stderr
        assert not os.path.exists('no.vmdk')


def main():
    need('qemu-img')
    folder = work_folder()
    make_source('source.raw', SIZE)
    check_convert()
    check_full_grains()
    check_io()
    check_killed()
    check_cancel()
    check_refusals()
    print('streams: ' + ' '.join(name for name, _ in others('vmdk', STREAM[1])))
    folder.cleanup()


main()
