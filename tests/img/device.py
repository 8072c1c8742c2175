#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images on a block device that had other things before: they hold what was written, and zeros, for mortise and QEMU.
Needs root and a loop device."""
import os
import subprocess
import sys

from img import MORTISE, img, make_source, need, need_formats, qemu_img, run, same, work_folder

SIZE = 24 << 20
DEVICE = 64 << 20


def dirty(device):
    with open(device, 'wb') as f:
        f.write(b'\xa5' * DEVICE)


def attach():
    """A loop device over a file of the folder, or the end of the test."""
    with open('device.img', 'wb') as f:
        f.truncate(DEVICE)
    done = subprocess.run(['losetup', '-f', '--show', 'device.img'], capture_output=True, text=True)
    if done.returncode:
        print(f'no loop device: {done.stderr.strip()}')
        sys.exit(77)
    return done.stdout.strip()


def check_convert(device):
    for name, options in (('qcow2', 'cluster_size=64k'), ('qcow2', 'preallocation=metadata'), ('qcow2', 'preallocation=falloc'),
                          ('qcow2', 'cluster_size=512'), ('vdi', 'static=off'), ('vdi', 'static=on')):
        dirty(device)
        img('convert', '-f', 'raw', '-O', name, '-o', options, 'source.raw', device)
        same('source.raw', 'raw', device, name)
        img('compare', '-f', 'raw', '-F', name, 'source.raw', device)
        if name == 'qcow2':
            qemu_img('check', '-q', '-f', name, device)
    for words in (['-f', 'qcow2', '-O', 'raw', device, device], ['-f', 'raw', '-O', 'qcow2', 'large.raw', device]):
        img('convert', *words, code=1)


def check_refused(device):
    """VMDK files grow at their end: said at the start, and the device keeps what it has."""
    dirty(device)
    for form in ('monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized'):
        vmdk = ['-o', 'subformat=' + form]
        for words in (['create', '-f', 'vmdk', *vmdk, device, '1M'], ['convert', '-f', 'raw', '-O', 'vmdk', *vmdk, 'source.raw', device]):
            said = img(*words, code=1).stderr
            assert 'on a block device' in said, said
    with open(device, 'rb') as f:
        assert f.read() == b'\xa5' * DEVICE


def check_write(device):
    """What is written in part reads as zero beside it; a disk that becomes longer does, too."""
    for options in ('cluster_size=64k', 'cluster_size=2M', 'extended_l2=on', 'preallocation=metadata'):
        dirty(device)
        img('create', '-q', '-f', 'qcow2', '-o', options, device, '16M')
        io = [MORTISE, 'io', '-q', '-f', 'qcow2', device]
        run(*io, '-c', 'read -P 0 0 16M', '-c', 'write -P 1 5M 512', '-c', 'write -z 7M 3k', '-c', 'read -P 0 5243392 1M')
        img('resize', '-q', '-f', 'qcow2', '--preallocation=metadata', device, '20M')
        run(*io, '-c', 'read -P 0 16M 4M', '-c', 'read -P 1 5M 512')
        run('qemu-io', '-f', 'qcow2', '-c', 'read -P 0 0 5M', '-c', 'read -P 0 5243392 15728128', device)
        qemu_img('check', '-q', '-f', 'qcow2', device)


def main():
    need('qemu-img', 'qemu-io', 'losetup')
    need_formats('qcow2', 'vdi', 'vmdk')
    if os.geteuid():
        print('only root makes loop devices')
        sys.exit(77)
    folder = work_folder()
    make_source('source.raw', SIZE)
    with open('large.raw', 'wb') as f:
        f.write(b'x' * (DEVICE + 512))
    device = attach()
    try:
        check_convert(device)
        check_refused(device)
        check_write(device)
    finally:
        run('losetup', '-d', device, code=None)
    folder.cleanup()


main()
