#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that a host has no room for: the message has the file, how much it was, and the host's own reason; nothing is left of a
new one, and a resized one is what it was.

A limit of file sizes stands for a file system with small files; a small file system of its own needs a name space (unshare).
"""
import json
import os
import re
import shutil
import subprocess
import sys

from img import MORTISE, run, work_folder

LARGE, FULL = 'File too large', 'No space left on device'
# format, options, size; the file that is told of, and what it cannot
LIMITED = [
    ('raw', '', '1G', 'disk', f'cannot be made 1073741824 bytes long: {LARGE}'),
    ('vmdk', 'subformat=monolithicFlat', '1G', 'disk-flat.vmdk', f'cannot be made 1073741824 bytes long: {LARGE}'),
    ('vmdk', 'subformat=twoGbMaxExtentFlat', '3G', 'disk-f001.vmdk', rf'cannot be made \d+ bytes long: {LARGE}'),
    ('vmdk', '', '60T', 'disk.vmdk', rf'cannot be (written,|made) .*: {LARGE}'),
    ('vdi', '', '30T', 'disk', rf'cannot be (written,|made) .*: {LARGE}'),
    ('qcow2', 'preallocation=metadata', '1T', 'disk', rf'cannot be made \d+ bytes long: {LARGE}'),
]
SMALL = [
    ('raw', 'preallocation=full', '64M', 'disk', f'cannot be given 67108864 bytes of space: {FULL}'),
    ('raw', 'preallocation=falloc', '64M', 'disk', f'cannot be given 67108864 bytes of space: {FULL}'),
    ('vmdk', '', '60T', 'disk.vmdk', rf'cannot be written, \d+ bytes: {FULL}'),
    ('vdi', '', '30T', 'disk', rf'cannot be written, \d+ bytes: {FULL}'),
    ('vdi', 'preallocation=full', '64M', 'disk', rf'cannot be given \d+ bytes of space: {FULL}'),
    ('qcow2', 'preallocation=metadata', '1T', 'disk', rf'cannot be written, \d+ bytes: {FULL}'),
    ('qcow2', 'preallocation=full', '64M', 'disk', rf'cannot be given \d+ bytes of space: {FULL}'),
]
# format, options, size, what the file cannot
RESIZED = [
    ('raw', ['--preallocation=full'], '64M', r'cannot be given \d+ bytes of space'),
    ('raw', ['--preallocation=falloc'], '64M', r'cannot be given \d+ bytes of space'),
    ('qcow2', ['--preallocation=falloc'], '64M', r'cannot be given \d+ bytes of space'),
    ('qcow2', ['--preallocation=full'], '64M', r'cannot be given \d+ bytes of space'),
    ('qcow2', ['--preallocation=metadata'], '1T', None),
    ('qcow2', [], '1000T', r'cannot be written, \d+ bytes'),
    ('vdi', [], '30T', r'cannot be written, \d+ bytes'),
]


def check(rows, folder, before):
    for fmt, options, size, name, words in rows:
        path = os.path.join(folder, 'disk' + ('.vmdk' if fmt == 'vmdk' else ''))
        command = [*before, MORTISE, 'img', 'create', '-f', fmt, *(['-o', options] if options else []), path, size]
        done = run(*command, code=1)
        wanted = '(^|[ /])' + re.escape(name) + ' ' + words
        assert re.search(wanted, done.stderr), f'{" ".join(command)}: {done.stderr}, wanted: {wanted}'
        assert os.listdir(folder) == [], os.listdir(folder)


def check_resize(folder):
    """An image that cannot become longer is what it was, and what it took for that is given back."""
    for fmt, how, size, words in RESIZED:
        path = os.path.join(folder, 'disk')
        run(MORTISE, 'img', 'create', '-q', '-f', fmt, path, '1M')
        run(MORTISE, 'io', '-f', fmt, '-c', 'write -P 7 0 512k', path)
        with open(path, 'rb') as f:
            before = f.read()
        done = run(MORTISE, 'img', 'resize', '-f', fmt, *how, path, size, code=1)
        assert not words or re.search(f'error: {path} {words}: {FULL}', done.stderr), f'{fmt} {how}: {done.stderr}'
        assert json.loads(run(MORTISE, 'img', 'info', '--output=json', '-f', fmt, path).stdout)['virtual-size'] == 1 << 20
        run(MORTISE, 'io', '-f', fmt, '-c', 'read -P 7 0 512k', path)
        if fmt != 'raw':
            checked = run(MORTISE, 'img', 'check', '-f', fmt, path).stdout
            assert checked.startswith('No errors were found'), f'{fmt} {how}: {checked}'
            assert os.path.getsize(path) <= len(before) + 65536, f'{fmt} {how}: {len(before)}, now {os.path.getsize(path)}'
        else:
            with open(path, 'rb') as f:
                assert f.read() == before, 'the file has changed'
        os.unlink(path)


def check_convert(folder, before, words):
    """A copy that ends in the middle."""
    source, path = os.path.join(folder, '..', 'source.raw'), os.path.join(folder, 'disk')
    with open(source, 'wb') as f:
        f.write(b'mortise ' * (1 << 20))
    for fmt in ('raw', 'qcow2', 'vdi'):
        command = [*before, MORTISE, 'img', 'convert', '-f', 'raw', '-O', fmt, source, path]
        done = run(*command, code=1)
        assert re.search(rf'disk.*: {words}', done.stderr), f'{" ".join(command)}: {done.stderr}'
        assert os.listdir(folder) == [], os.listdir(folder)


def main():
    if sys.argv[1:] == ['small']:
        check(SMALL, 'small', [])
        check_resize('small')
        check_convert('small', [], FULL)
        return
    folder = work_folder()
    os.mkdir('small')
    limited = ['sh', '-c', 'ulimit -f 1024; exec "$@"', '-']
    check(LIMITED, 'small', limited)
    check_convert('small', limited, LARGE)
    unshare = ['unshare', '--user', '--map-root-user', '--mount'] if os.getuid() else ['unshare', '--mount']
    mounted = [*unshare, 'sh', '-c', 'mount -t tmpfs -o size=4M none small && exec "$@"', '-']
    if not shutil.which('unshare') or subprocess.run([*mounted, 'true'], stderr=subprocess.PIPE, check=False).returncode:
        print('without the small file system: no name space is to be had')
    else:
        run(*mounted, sys.executable, SELF, 'small', env={**os.environ, 'MORTISE': MORTISE})
    folder.cleanup()


SELF = os.path.abspath(__file__)
main()
