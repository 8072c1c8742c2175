#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise img at the edges: options said twice over, disks without bytes, limits, outputs that fail."""
import json
import os
import signal
import subprocess
import time

from img import MORTISE, img, leftovers, make_source, need, need_formats, qemu_img, run, same, work_folder

SIZE = 4 << 20


def qemu_io(path, *commands):
    run('qemu-io', '-f', 'qcow2', *sum((['-c', c] for c in commands), []), path)


def check_backing_option():
    """-o backing_file is the same as -B: zeros of the source hide what the disk below has."""
    qemu_img('create', '-q', '-f', 'qcow2', 'below.qcow2', SIZE)
    qemu_io('below.qcow2', 'write -P 1 0 4M')
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'below.qcow2', '-F', 'qcow2', 'top.qcow2')
    qemu_io('top.qcow2', 'write -z 0 512k', 'write -P 2 1M 64k')
    below = 'backing_file=below.qcow2,backing_fmt=qcow2'
    img('convert', '-f', 'qcow2', '-O', 'qcow2', '-o', below, 'top.qcow2', 'out.qcow2')
    same('top.qcow2', 'qcow2', 'out.qcow2', 'qcow2')
    assert os.stat('out.qcow2').st_size < 1 << 20, 'the disk below was copied'
    for words in (['backing_file=below.qcow2'], ['backing_file=missing.qcow2,backing_fmt=qcow2']):
        img('convert', '-f', 'qcow2', '-O', 'qcow2', '-o', *words, 'top.qcow2', 'no.qcow2', code=1)
    img('amend', '-f', 'qcow2', '-o', below, 'top.qcow2', code=1)


def check_rebase():
    """What read as zero over nothing, or over zeros, still does over a disk with data, with all kinds of clusters."""
    for options in ('compat=1.1', 'compat=0.10', 'cluster_size=2M', 'compat=0.10,cluster_size=2M', 'cluster_size=512'):
        qemu_img('create', '-q', '-f', 'qcow2', 'zeros.qcow2', SIZE)
        for below in ([], ['-b', 'zeros.qcow2', '-F', 'qcow2']):
            qemu_img('create', '-q', '-f', 'qcow2', '-o', options, *below, 'r.qcow2', str(SIZE - 512))
            qemu_io('r.qcow2', 'write -P 3 2560k 1k')
            qemu_img('convert', '-f', 'qcow2', '-O', 'raw', 'r.qcow2', 'want.raw')
            img('rebase', '-f', 'qcow2', '-b', 'below.qcow2', '-F', 'qcow2', 'r.qcow2')
            same('want.raw', 'raw', 'r.qcow2', 'qcow2')
            qemu_img('check', '-q', 'r.qcow2')


def check_empty():
    """Disks without bytes: nothing leaks, and those of QEMU, which have no table at all, can grow and be snapshotted."""
    for made, options in ((img, []), (qemu_img, []), (img, ['-o', 'cluster_size=512,compat=0.10'])):
        for words in (['resize', '-q', '-f', 'qcow2', 'e.qcow2', '4M'], ['snapshot', '-f', 'qcow2', '-c', 's', 'e.qcow2'],
                      ['convert', '-f', 'qcow2', '-O', 'vdi', 'e.qcow2', 'e.vdi']):
            made('create', '-q', '-f', 'qcow2', *options, 'e.qcow2', '0')
            qemu_img('check', '-q', 'e.qcow2')
            img(*words)
            qemu_img('check', '-q', 'e.qcow2')
            img('check', '-q', '-f', 'qcow2', 'e.qcow2')
            if words[0] == 'snapshot':
                img('resize', '-q', '-f', 'qcow2', 'e.qcow2', '1M')
                qemu_io('e.qcow2', 'write -P 1 0 1M')
                img('snapshot', '-f', 'qcow2', '-a', 's', 'e.qcow2')
                img('snapshot', '-f', 'qcow2', '-d', 's', 'e.qcow2')
                qemu_img('check', '-q', 'e.qcow2')
    img('create', '-q', '-f', 'qcow2', 'e.qcow2', '0')
    img('resize', '-q', '-f', 'qcow2', 'e.qcow2', '4M')
    qemu_io('e.qcow2', 'write -P 7 0 4M', 'read -P 7 0 4M')


def check_limits():
    """The largest disks: those that QEMU makes of qcow2, and what is too large is said at once and leaves nothing."""
    for options in ('cluster_size=64k', 'cluster_size=2M', 'cluster_size=512', 'extended_l2=on', 'refcount_bits=64'):
        for size in ('128G', '256G', '1T', '2P', '8P', '2E', '7E', str((1 << 63) - 1), str((1 << 63) - 512), '8E'):
            words = ['create', '-q', '-f', 'qcow2', '-o', options, 'large.qcow2', size]
            codes = []
            for made, other in ((qemu_img, img), (img, qemu_img)):
                codes.append(made(*words, code=None).returncode)
                if codes[-1] == 0:
                    told = [json.loads(of('info', '--output=json', '-f', 'qcow2', 'large.qcow2').stdout)['virtual-size']
                            for of in (made, other)]
                    assert told[0] == told[1], f'{words}: {told}'
                    os.unlink('large.qcow2')
            assert codes[0] == codes[1], f'{words}: {codes}'
    for fmt, options, largest in (('vdi', 'static=off', 32 << 40), ('vdi', 'block_size=256M', 8 << 50),
                                  ('vmdk', 'subformat=monolithicSparse', 128 << 40), ('vmdk', 'subformat=streamOptimized', 128 << 40)):
        img('create', '-q', '-f', fmt, '-o', options, 'large', largest)
        for of in (img, qemu_img)[:1 if '256M' in options else 2]:
            assert json.loads(of('info', '--output=json', '-f', fmt, 'large').stdout)['virtual-size'] == largest
        os.unlink('large')
        for size in (largest + 512, 4 << 60, (1 << 63) - 512):
            said = img('create', '-q', '-f', fmt, '-o', options, 'large', size, code=1).stderr
            assert ('too large' in said or 'at most' in said) and not os.path.exists('large'), said


def check_measure():
    for preallocation in ('off', 'metadata', 'falloc', 'full'):
        words = ['measure', '--output=json', '-O', 'qcow2', '-o', 'preallocation=' + preallocation, '-f', 'raw', 'holes.raw']
        a, b = (json.loads(of(*words).stdout) for of in (img, qemu_img))
        assert a == b, f'{preallocation}: {a} {b}'
    # the last cluster counts whole: others reserve a place of that length
    with open('odd.raw', 'wb') as f:
        f.write(b'x' * ((1 << 20) + 512))
    for options in ('cluster_size=64k', 'cluster_size=2M', 'cluster_size=512'):
        words = ['measure', '--output=json', '-O', 'qcow2', '-o', options, '-f', 'raw', 'odd.raw']
        a, b = (json.loads(of(*words).stdout) for of in (img, qemu_img))
        img('convert', '-f', 'raw', '-O', 'qcow2', '-o', options, 'odd.raw', 'odd.qcow2')
        assert a == b and os.stat('odd.qcow2').st_size <= a['required'], f'{options}: {a} {b}'


def check_bitmaps():
    """What cannot take the bitmaps is found before the disk is copied: that would take minutes."""
    qemu_img('bitmap', '--add', 'top.qcow2', 'b')
    started = time.monotonic()
    done = img('convert', '-r', '4k', '--bitmaps', '-f', 'qcow2', '-O', 'qcow2', '-o', 'compat=0.10', 'top.qcow2', 'v2.qcow2',
               code=1)
    assert 'version 2' in done.stderr and not os.path.exists('v2.qcow2') and not leftovers(), done.stderr
    for add in ([], ['b']):
        qemu_img('create', '-q', '-f', 'qcow2', '-o', 'compat=' + ('1.1' if add else '0.10'), 'old.qcow2', SIZE)
        for name in add:
            qemu_img('bitmap', '--add', 'old.qcow2', name)
        img('convert', '-n', '-r', '4k', '--bitmaps', '-f', 'qcow2', '-O', 'qcow2', 'top.qcow2', 'old.qcow2', code=1)
        assert not run('qemu-io', '-c', 'read -P 0 0 4M', 'old.qcow2').returncode
        qemu_img('check', '-q', 'old.qcow2')
    assert time.monotonic() - started < 60
    img('convert', '--bitmaps', '-f', 'qcow2', '-O', 'qcow2', 'top.qcow2', 'v3.qcow2')
    assert '"name": "b"' in qemu_img('info', '--output=json', 'v3.qcow2').stdout


def check_rate():
    """Holes do not count, and who waits for the limit still hears a signal."""
    with open('holes.raw', 'wb') as f:
        f.truncate(64 << 30)
        for at in (0, 32 << 30, (64 << 30) - 4096):
            f.seek(at)
            f.write(b'x' * 4096)
    started = time.monotonic()
    img('convert', '-r', '2M', '-f', 'raw', '-O', 'qcow2', 'holes.raw', 'holes.qcow2')
    assert time.monotonic() - started < 30, 'the limit was held for holes'
    with subprocess.Popen([MORTISE, 'img', 'convert', '-r', '1k', '-f', 'raw', '-O', 'raw', 'source.raw', 'slow.raw'],
                          stderr=subprocess.DEVNULL) as process:
        while not leftovers():
            time.sleep(0.01)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 1
    assert not leftovers() and not os.path.exists('slow.raw')


def check_cancel():
    """A signal while space is taken for a new image: nothing is left, and an older one is as it was."""
    with open('/dev/null', 'w', encoding='ascii') as null:
        for name in ('raw', 'qcow2'):
            with subprocess.Popen([MORTISE, 'img', 'create', '-f', name, '-o', 'preallocation=full', 'old.img', '64G'],
                                  stdout=null, stderr=null) as process:
                while not any('old.img' in os.listdir(folder) for folder in leftovers()):
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=60) == 1
            assert not leftovers() and not os.path.exists('old.img'), os.listdir('.')


def check_words():
    """Snapshots by id, by name, and by both; what is said twice or cannot be; the version."""
    qemu_img('create', '-q', '-f', 'qcow2', 'w.qcow2', '1M')
    for value, name in ((1, '2'), (2, '1'), (3, 'x')):
        qemu_io('w.qcow2', f'write -P {value} 0 1M')
        qemu_img('snapshot', '-c', name, 'w.qcow2')
    for word, value in (('snapshot.id=1', 1), ('snapshot.name=1', 2), ('snapshot.id=2,snapshot.name=1', 2), ('x', 3),
                        ('snapshot.name=x,snapshot.id=3', 3), ('snapshot.id=1,snapshot.name=1', None), ('snapshot.name=3', None),
                        ('snapshot.other=1', None), ('', None)):
        for of in (img, qemu_img):
            done = of('convert', '-f', 'qcow2', '-l', word, '-O', 'raw', 'w.qcow2', 'w.raw', code=1 if value is None else 0)
            assert value is None or open('w.raw', 'rb').read() == bytes([value]) * (1 << 20), (of, word)
            assert value is not None or done.stderr, (of, word)
    for of in (img, qemu_img):
        of('convert', '-m', '0', '-f', 'qcow2', '-O', 'raw', 'w.qcow2', 'no.raw', code=1)
        of('create', '-f', 'qcow2', '-o', 'size=1M', 'no.qcow2', '1M', code=1)
        of('create', '-q', '-f', 'qcow2', '-o', 'size=1M', 'size.qcow2')
        assert 'version' in of('--version').stdout or 'mortise img 0' in of('-V').stdout
    assert not os.path.exists('no.raw') and not os.path.exists('no.qcow2')


def check_names():
    """A line stays a line, whatever a file is called."""
    name = 'two\nlines: here'
    img('create', '-q', '-f', 'qcow2', name, '1M')
    run(MORTISE, 'io', '-q', '-f', 'qcow2', '-c', 'write 0 64k', name)
    for words in (['info'], ['map']):
        assert not [l for l in img(*words, '-f', 'qcow2', name).stdout.splitlines() if l.startswith('lines')], words


def check_output():
    """Standard output that takes nothing: an error that says so, also for what is shorter than a buffer."""
    with open('short.raw', 'wb') as f:
        f.write(b'x' * 512)
    for source in ('short.raw', 'source.raw'):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([MORTISE, 'img', 'convert', '-f', 'raw', '-O', 'raw', source, '-'], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=120)
        assert done.returncode == 1 and 'No space' in done.stderr, (source, done)
    done = subprocess.run(['bash', '-c', f'{MORTISE} img convert -f raw -O raw source.raw - | head -c 1 >/dev/null; '
                           'exit ${PIPESTATUS[0]}'], timeout=120)
    assert done.returncode not in (0, 2), 'nobody read it all'


def check_letters():
    """Letters of options may stand together, the last one with its value."""
    img('convert', '-pqcfraw', '-Oqcow2', 'source.raw', 'l.qcow2')
    same('source.raw', 'raw', 'l.qcow2', 'qcow2')
    assert '"compressed": true' in img('map', '-fqcow2', '--output=json', 'l.qcow2').stdout
    img('compare', '-qsf', 'raw', '-F', 'raw', 'source.raw', 'source.raw')
    assert "'-qx'" in img('convert', '-qx', 'source.raw', 'l.raw', code=1).stderr
    img('convert', '-qf', code=1)


def main():
    need('qemu-img', 'qemu-io', 'bash')
    need_formats('qcow2', 'vdi', 'vmdk')
    folder = work_folder()
    make_source('source.raw', SIZE)
    for check in (check_backing_option, check_rebase, check_empty, check_bitmaps, check_rate, check_limits, check_measure,
                  check_cancel, check_words, check_names, check_output, check_letters):
        check()
        print(check.__name__)
    assert not leftovers()
    folder.cleanup()


main()
