#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise img create and convert: every format from and to every other, judged by qemu-img; what must be refused is."""
import contextlib
import os
import pty
import re
import signal
import subprocess
import time

from img import MORTISE, formats, img, leftovers, make_source, need, qemu_img, run, same, work_folder

SIZE = 24 << 20


def check_matrix(names):
    for a in names:
        qemu_img('convert', '-f', 'raw', '-O', a, 'source.raw', 'qemu.' + a)
        for b in names:
            img('convert', '-f', a, '-O', b, 'qemu.' + a, 'ours.' + b)
            same('source.raw', 'raw', 'ours.' + b, b)
            if b not in ('raw', 'vmdk'):
                qemu_img('check', '-q', '-f', b, 'ours.' + b)
        img('convert', '-f', a, '-O', 'raw', 'qemu.' + a, 'back.raw')
        run('cmp', 'source.raw', 'back.raw')


def check_sparse(names):
    """Holes stay holes, written zeros become some: nothing is larger than the source's data by much."""
    with open('zeros.raw', 'wb') as f:
        f.write(bytes(SIZE))
    for name in names:
        img('convert', '-f', 'raw', '-O', name, 'zeros.raw', 'z.' + name)
        taken = os.stat('z.' + name).st_blocks * 512
        assert taken < 1 << 20, f'{name}: {taken} bytes are taken by zeros'


def check_pieces():
    """Several inputs make one disk; odd lengths are rounded up to a sector."""
    with open('odd.raw', 'wb') as f:
        f.write(b'x' * 1000)
    img('convert', '-f', 'raw', '-O', 'vdi', 'odd.raw', 'source.raw', 'two.vdi')
    img('convert', '-f', 'vdi', '-O', 'raw', 'two.vdi', 'two.raw')
    want = b'x' * 1000 + bytes(24) + open('source.raw', 'rb').read()
    assert open('two.raw', 'rb').read() == want


def check_pipes():
    run('sh', '-c', f'cat source.raw | {MORTISE} img convert -f raw -O vmdk - piped.vmdk')
    same('source.raw', 'raw', 'piped.vmdk', 'vmdk')
    run('sh', '-c', f'{MORTISE} img convert -f vmdk -O raw piped.vmdk - | cmp - source.raw')


def check_refusals():
    os.link('source.raw', 'link.raw')
    os.symlink('source.raw', 'symlink.raw')
    before = os.stat('source.raw')
    for out in ('source.raw', './source.raw', 'link.raw', 'symlink.raw'):
        img('convert', '-f', 'raw', '-O', 'raw', 'source.raw', out, code=1)
    assert os.stat('source.raw').st_mtime_ns == before.st_mtime_ns
    for words in (['source.raw', 'x.raw'],                                      # raw is never guessed
                  ['-f', 'raw', '-O', 'nothing', 'source.raw', 'x.raw'],
                  ['-f', 'raw', '-n', 'source.raw', 'x.raw'],
                  ['-f', 'raw', '-O', 'vdi', '-o', 'no=1', 'source.raw', 'x.vdi'],
                  ['-f', 'raw', '-O', 'vdi', 'missing.raw', 'x.vdi'],
                  ['-f', 'raw', '-O', 'vdi', '-c', 'source.raw', 'x.vdi']):
        img('convert', *words, code=1)
        assert not os.path.exists(words[-1]), words
    done = img('convert', '-O', 'raw', 'qemu.vdi', 'y.raw')
    assert 'looks like vdi' in done.stderr, done.stderr


def check_old_stays():
    """What stands at the place stays as it is until the new image is whole; its file is not written in any case."""
    with open('old.vdi', 'w', encoding='ascii') as f:
        f.write('old')
    os.link('old.vdi', 'old.kept')
    img('convert', '-f', 'raw', '-O', 'vdi', 'source.raw', 'old.vdi')
    assert open('old.kept', encoding='ascii').read() == 'old'
    same('source.raw', 'raw', 'old.vdi', 'vdi')


def check_cancel():
    """A signal in the middle: exit code 1, no output, no leftovers, the source as before."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen([MORTISE, 'img', 'convert', '-r', '1M', '-f', 'raw', '-O', 'vmdk', 'source.raw', 'gone.vmdk'],
                              stderr=subprocess.PIPE) as process:
            while not leftovers() and process.poll() is None:
                time.sleep(0.01)
            time.sleep(0.1)
            process.send_signal(number)
            process.communicate(timeout=60)
            assert process.returncode == 1, process.returncode
        assert not os.path.exists('gone.vmdk') and not leftovers(), os.listdir('.')


def check_progress():
    """On a terminal: one line that is written over, with numbers that grow, to its end; on an error, not to its end."""
    for out, rate, whole in (('p.qcow2', '16M', True), ('missing/p.qcow2', '16M', False)):
        ours, theirs = pty.openpty()
        with subprocess.Popen([MORTISE, 'img', 'convert', '-p', '-r', rate, '-f', 'raw', '-O', 'qcow2', 'source.raw', out],
                              stdout=theirs, stderr=subprocess.DEVNULL) as process:
            os.close(theirs)
            said = b''
            with contextlib.suppress(OSError):                 # the end of a terminal
                while piece := os.read(ours, 4096):
                    said += piece
        os.close(ours)
        shares = [float(s) for s in re.findall(r'\((\d+\.\d\d)/100%\)', said.decode())]
        assert (process.returncode == 0) == whole and shares == sorted(shares), (process.returncode, shares)
        assert not whole or (len(shares) >= 3 and shares[-1] == 100 and said.count(b'\n') == 1), said
        assert whole or 100 not in shares, said


def begin(target):
    """A conversion that takes minutes, once a file is in its folder, which is locked by then."""
    before = set(leftovers())
    process = subprocess.Popen([MORTISE, 'img', 'convert', '-r', '64k', '-f', 'raw', '-O', 'vmdk', 'source.raw', target])
    while not any(os.listdir(name) for name in set(leftovers()) - before) and process.poll() is None:
        time.sleep(0.01)
    return process


def check_kill():
    """What a killed program leaves goes with the next one, and what a living one has stays."""
    living = begin('both.vmdk')
    killed = begin('both.vmdk')
    assert len(leftovers()) == 2, leftovers()
    for process, left in ((killed, 1), (living, 0)):
        process.kill()
        process.wait()
        img('convert', '-f', 'raw', '-O', 'vmdk', 'source.raw', 'both.vmdk')
        assert len(leftovers()) == left, leftovers()
    same('source.raw', 'raw', 'both.vmdk', 'vmdk')


def check_full():
    """No space is left: an error that says so, and nothing else changes."""
    for name in ('raw', 'vdi', 'vmdk'):
        done = run('sh', '-c', f'ulimit -f 8192; exec {MORTISE} img convert -f raw -O {name} full.raw full.{name}.out', code=1)
        words = 'cannot be made 12582912 bytes long: File too large' if name == 'raw' else 'cannot be written: File too large'
        assert f'error: full.{name}.out' in done.stderr and words in done.stderr, done.stderr
        assert not os.path.exists(f'full.{name}.out') and not leftovers(), os.listdir('.')


def main():
    need('qemu-img')
    folder = work_folder()
    make_source('source.raw', SIZE)
    with open('full.raw', 'wb') as f:
        f.write(os.urandom(12 << 20))
    names = formats()
    assert {'raw', 'vdi', 'vmdk'} <= set(names), names
    check_matrix(names)
    check_sparse(names)
    check_pieces()
    check_pipes()
    check_refusals()
    check_old_stays()
    check_progress()
    check_cancel()
    check_kill()
    check_full()
    assert not leftovers()
    print('convert: ' + ' '.join(names))
    folder.cleanup()


main()
