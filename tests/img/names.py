#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that name files of the host: refused by default, and what they name is not opened, as strace sees it."""
import json
import os
import re
import struct
import sys

from hyperv import vhd, vhdx
from img import MORTISE, img, need, need_formats, qemu_img, run, work_folder

CREATE = ('create', '-q', '-u')


def overlay(path, name, fmt='raw'):
    """A qcow2 image that names `name`; fmt None: no format is recorded."""
    qemu_img(*CREATE, '-f', 'qcow2', '-b', 'placeholder', '-F', 'raw', path, '1M')
    with open(path, 'r+b') as f:
        header = bytearray(f.read(65536))
        text = name.encode()
        header[112:1024] = bytes(1024 - 112)
        at = 112
        if fmt:
            value = fmt.encode()
            header[at:at + 8] = struct.pack('>II', 0xe2792aca, len(value))
            header[at + 8:at + 8 + len(value)] = value
            at += 8 + (len(value) + 7) // 8 * 8
        at += 8
        header[8:20] = struct.pack('>QI', at, len(text))
        header[at:at + len(text)] = text
        f.seek(0)
        f.write(header)


def data_file(path, name):
    qemu_img(*CREATE, '-f', 'qcow2', '-o', 'data_file=placeholder.dat,data_file_raw=on', path, '1M')
    with open(path, 'r+b') as f:
        header = f.read(65536)
        old = struct.pack('>II', 0x44415441, len('placeholder.dat')) + b'placeholder.dat\0'
        at = header.index(old)
        padded = name.encode().ljust((len(name) + 7) // 8 * 8, b'\0')
        f.seek(at)
        f.write(struct.pack('>II', 0x44415441, len(name)) + padded + bytes(8))
    os.unlink('placeholder.dat')


def descriptor(path, extents, parent='', cid='ffffffff'):
    with open(path, 'w', encoding='ascii') as f:
        f.write(f'# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID={cid}\ncreateType="monolithicFlat"\n')
        if parent:
            f.write(f'parentFileNameHint="{parent}"\n')
        f.write('\n'.join(extents))
        f.write('\nddb.adapterType = "ide"\n')


def chain(length):
    overlay('c0000.qcow2', 'c0001.qcow2', 'qcow2')
    template = open('c0000.qcow2', 'rb').read()
    for i in range(1, length):
        with open(f'c{i:04}.qcow2', 'wb') as f:
            f.write(template.replace(b'c0001.qcow2', f'c{i + 1:04}.qcow2'.encode()))
    qemu_img('create', '-q', '-f', 'qcow2', f'c{length:04}.qcow2', '1M')


def traced(argv):
    done = run('strace', '-f', '-o', 'trace', '-e', 'trace=open,openat,openat2,socket,connect,execve', *argv, code=None)
    return done, open('trace', encoding='utf-8', errors='replace').read()


def refused(path, fmt, victim, opens=0):
    """Info of the whole chain and convert fail, name the culprit, and open what `victim` matches at most `opens` times."""
    for words in (['info', '-f', fmt, '--backing-chain', path], ['convert', '-f', fmt, '-O', 'raw', path, 'out.raw']):
        done, trace = traced([MORTISE, 'img', *words])
        if done.returncode != 1 or 'error' not in done.stderr or os.path.exists('out.raw'):
            sys.exit(f'{path}: {words[0]} gave {done.returncode}: {done.stderr}')
        found = [line for line in trace.splitlines() if re.search(r'open[a-z0-9]*\(', line) and re.search(victim, line)]
        if len(found) > opens or re.search(r'\b(socket|connect)\(AF_INET', trace):
            sys.exit(f'{path}: {words[0]} opened it:\n' + '\n'.join(found))
    return done.stderr


def backing_names():
    """(name, what must not be opened)"""
    above = os.path.dirname(os.getcwd())
    yield '/etc/hostname', r'/etc/hostname'
    yield os.getcwd() + '/victim.raw', r'victim\.raw'                 # absolute, though it lies in the folder
    yield '../victim-above.raw', r'victim-above'
    yield f'x/../../{os.path.basename(above)}/../victim-above.raw', r'victim-above'
    yield 'link.raw', r'link\.raw|hostname'
    yield 'linked/hostname', r'linked|hostname'
    yield '/proc/self/fd/0', r'/proc/self/fd'
    yield '/proc/self/limits', r'/limits'
    yield '../../../../../../proc/self/limits', r'/limits'
    yield '/dev/zero', r'/dev/zero'
    yield 'json:{"driver":"file","filename":"victim.raw"}', r'victim\.raw'
    yield 'nbd://127.0.0.1/x', r'nbd:'
    yield 'nbd:unix:socket', r'nbd:|socket'
    yield 'file:victim.raw', r'victim\.raw'
    yield 'pipe', r'"[^"]*pipe"'
    yield 'folder', r'"[^"]*/folder"'
    yield 'victim\n.raw', r'victim'


def check_backing():
    for number, (name, victim) in enumerate(backing_names()):
        overlay(f'o{number}.qcow2', name)
        refused(f'o{number}.qcow2', 'qcow2', victim)
    overlay('guess.qcow2', 'victim.raw', None)                         # its format is neither recorded nor to be seen
    assert 'format' in refused('guess.qcow2', 'qcow2', 'no such', 0)


def check_loops():
    overlay('self.qcow2', 'self.qcow2', 'qcow2')
    refused('self.qcow2', 'qcow2', r'self\.qcow2', 1)
    overlay('a.qcow2', 'b.qcow2', 'qcow2')
    overlay('b.qcow2', 'a.qcow2', 'qcow2')
    refused('a.qcow2', 'qcow2', r'/a\.qcow2|"a\.qcow2', 1)
    chain(1000)
    said = refused('c0000.qcow2', 'qcow2', r'c0[1-9]\d\d\.qcow2')
    assert 'too many' in said, said


def check_parts():
    for number, name in enumerate(['/etc/hostname', '../victim-above.raw', 'victim.raw', 'nbd://127.0.0.1/x', 'link.raw', 'pipe']):
        victim = re.escape(os.path.basename(name))
        data_file(f'd{number}.qcow2', name)
        refused(f'd{number}.qcow2', 'qcow2', f'"[^"]*{victim}"')
        descriptor(f'e{number}.vmdk', [f'RW 2048 FLAT "{name}" 0'])
        refused(f'e{number}.vmdk', 'vmdk', f'"[^"]*{victim}"')
    descriptor('many.vmdk', ['RW 1 FLAT "many-f001.vmdk" 0'] * 1000000)
    with open('many-f001.vmdk', 'wb') as f:
        f.write(bytes(512))
    refused('many.vmdk', 'vmdk', 'many-f001', 0)
    qemu_img('create', '-q', '-f', 'vmdk', 'base.vmdk', '1M')
    qemu_img('create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'delta.vmdk')
    image = open('delta.vmdk', 'rb').read()
    with open('delta.vmdk', 'wb') as f:
        f.write(image.replace(b'"base.vmdk"', b'"/etc/abc"', 1).replace(b'ddb', b' ddb', 1))
    refused('delta.vmdk', 'vmdk', r'/etc/abc')


def check_parents():
    """Parents of VHD and VHDX disks, in the wording of Windows too."""
    for number, (name, victim) in enumerate((('/etc/hostname', 'hostname'), ('\\etc\\hostname', 'hostname'),
                                             ('..\\x-above.raw', 'x-above'), ('link.raw', r'link\.raw|hostname'),
                                             ('linked\\issue', 'linked|issue'), ('C:\\hostname', 'hostname"'),
                                             ('pipe', '"[^"]*pipe"'), ('nbd://[::1]/x', 'nbd:'), ('json:{}', 'json'))):
        for fmt, make in (('vpc', vhd), ('vhdx', vhdx)):
            path = f'p{number}.{fmt}'
            make(path, name)
            assert json.loads(img('info', '-f', fmt, '--output=json', path).stdout)['backing-filename'] == name.replace('\\', '/')
            refused(path, fmt, victim)
    for fmt, make in (('vpc', vhd), ('vhdx', vhdx)):
        make('me.' + fmt, 'me.' + fmt)
        refused('me.' + fmt, fmt, r'me\.v', 1)


def check_allowed():
    """What may be named is opened, and --allow-backing allows more, or less."""
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'victim.raw', '-F', 'raw', 'fine.qcow2')
    img('convert', '-f', 'qcow2', '-O', 'raw', 'fine.qcow2', 'fine.raw')
    run('cmp', 'fine.raw', 'victim.raw')
    img('convert', '-f', 'qcow2', '-O', 'raw', '--allow-backing', 'none', 'fine.qcow2', 'no.raw', code=1)
    overlay('far.qcow2', os.path.abspath('../victim-above.raw'))
    img('convert', '-f', 'qcow2', '-O', 'raw', '--allow-backing', '..', 'far.qcow2', 'far.raw')
    descriptor('flat.vmdk', ['RW 2048 FLAT "flat-flat.vmdk" 0'])
    os.link('victim.raw', 'flat-flat.vmdk')
    img('convert', '-f', 'vmdk', '-O', 'raw', 'flat.vmdk', 'flat.raw')
    run('cmp', 'flat.raw', 'victim.raw')
    # info without the chain opens nothing, and tells the name
    assert '/etc/hostname' in img('info', '-f', 'qcow2', 'o0.qcow2').stdout


def main():
    need('qemu-img', 'strace')
    if run("strace", "-o", "/dev/null", "true", code=None).returncode:
        print('strace may trace nothing here')
        sys.exit(77)
    # the leak sanitizer, where it is built in, cannot work in a program that is traced
    os.environ['ASAN_OPTIONS'] = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'detect_leaks=0')))
    folder = work_folder()
    os.mkdir('inside')
    with open('victim-above.raw', 'wb') as f:
        f.write(b'secret' * 1000 + bytes(1048576 - 6000))
    os.chdir('inside')
    with open('victim.raw', 'wb') as f:
        f.write(b'secret' * 1000 + bytes(1048576 - 6000))
    os.symlink('/etc/hostname', 'link.raw')
    os.symlink('/etc', 'linked')
    os.mkfifo('pipe')
    os.mkdir('folder')
    need_formats('qcow2', 'vmdk', 'vhd', 'vhdx')
    check_backing()
    check_loops()
    check_parts()
    check_parents()
    check_allowed()
    print('names: what is refused is not opened')
    os.chdir('/')
    folder.cleanup()


main()
