#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise img check, compare, map, measure, snapshot, resize, rebase, commit, dd, amend, bitmap and bench, beside
qemu-img."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

from img import MORTISE, SEED, img, make_source, need, need_formats, qemu_img, run, same, work_folder

SIZE = 8 << 20


def ours(*words):
    return json.loads(img(*words, '--output=json').stdout)


def theirs(*words):
    return json.loads(qemu_img(*words, '--output=json').stdout)


def io(path, fmt, *commands, code=0):
    argv = [MORTISE, 'io', '-q', '-f', fmt, path]
    for command in commands:
        argv += ['-c', command]
    return run(*argv, code=code).stdout


def raw_of(path, fmt):
    qemu_img('convert', '-f', fmt, '-O', 'raw', path, 'judge.raw')
    return open('judge.raw', 'rb').read()


def check_info():
    qemu_img('create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 'base.qcow2', '4M')
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'top.qcow2')
    qemu_img('snapshot', '-c', 'first', 'top.qcow2')
    for path in ('base.qcow2', 'top.qcow2'):
        a, b = ours('info', '-f', 'qcow2', path), theirs('info', '-f', 'qcow2', path)
        for key in b:
            assert key in a, f'{path}: info lacks {key}'
            if key not in ('snapshots', 'format-specific', 'children', 'full-backing-filename'):
                assert a[key] == b[key], f'{path}: {key}: {a[key]} and {b[key]}'
        for key, value in b['format-specific']['data'].items():
            assert a['format-specific']['data'].get(key) == value, f'{path}: {key}: {a["format-specific"]["data"]}'
    mine, judge = ours('info', '-f', 'qcow2', 'top.qcow2')['snapshots'], theirs('info', 'top.qcow2')['snapshots']
    assert [s['name'] for s in mine] == [s['name'] for s in judge] and mine[0]['date-sec'] == judge[0]['date-sec']
    os.mkdir('folder')
    shutil.copy('base.qcow2', 'folder')
    shutil.copy('top.qcow2', 'folder')
    for path in ('top.qcow2', './top.qcow2', 'folder/top.qcow2', os.path.abspath('top.qcow2')):
        words = ['info', '--backing-chain', '-f', 'qcow2', path]
        chain, judge = ours(*words), theirs(*words)
        assert [i['virtual-size'] for i in chain] == [4 << 20] * 2
        for key in ('filename', 'full-backing-filename'):
            assert [i.get(key) for i in chain] == [i.get(key) for i in judge], f'{path}: {key}: {chain}'


def check_extents():
    """The files of a VMDK disk."""
    os.makedirs('forms')
    for form in ('monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized'):
        path = f'forms/{form}.vmdk'
        img('create', '-q', '-f', 'vmdk', '-o', 'subformat=' + form, path, '5G')
        a, b = (of('info', '-f', 'vmdk', path)['format-specific'] for of in (ours, theirs))
        assert a == b, f'{form}: {a} {b}'
        a, b = (sorted(of('info', '-f', 'vmdk', path).stdout.splitlines()) for of in (img, qemu_img))
        assert a == b, f'{form}: {a} {b}'


def check_map_and_measure():
    qemu_img('create', '-q', '-f', 'qcow2', 'mbase.qcow2', '1M')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 0 128k', 'mbase.qcow2')
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'mbase.qcow2', '-F', 'qcow2', 'mtop.qcow2', '2M')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 64k 4k', '-c', 'write -z 256k 64k', '-c', 'write -c -P 3 512k 64k',
        '-c', 'write -z -u 1M 64k', 'mtop.qcow2')
    a, b = ours('map', '-f', 'qcow2', 'mtop.qcow2'), theirs('map', '-f', 'qcow2', 'mtop.qcow2')
    for entry in a:
        if entry.pop('compressed') and 'offset' in entry:
            sys.exit('a compressed extent has an offset')
    for entry in b:
        entry.pop('compressed', None)
    assert a == b, f'{a}\n{b}'
    a, b = ours('map', '-s', '64k', '-l', '64k', 'mtop.qcow2'), theirs('map', '-s', '64k', '-l', '64k', 'mtop.qcow2')
    assert (a[0]['start'], a[0]['length'], a[0]['offset']) == (b[0]['start'], b[0]['length'], b[0]['offset'])
    img('map', '-f', 'qcow2', 'mtop.qcow2', code=1)                    # compressed data have no place of their own
    for words in (['--size', '1G', '-O', 'raw'], ['--size', '1G', '-O', 'qcow2'], ['-f', 'raw', '-O', 'qcow2', 'source.raw']):
        a, b = ours('measure', *words), theirs('measure', *words)
        assert a['fully-allocated'] == b['fully-allocated'], f'{words}: {a} {b}'
        assert abs(a['required'] - b['required']) <= 1 << 20, f'{words}: {a} {b}'


def check_check():
    shutil.copy('mtop.qcow2', 'leak.qcow2')
    a, b = ours('check', '-f', 'qcow2', 'leak.qcow2'), theirs('check', 'leak.qcow2')
    for key in ('total-clusters', 'allocated-clusters', 'check-errors', 'image-end-offset'):
        assert a[key] == b[key], f'{key}: {a} {b}'
    # a cluster that is counted and that nobody uses
    image = open('leak.qcow2', 'rb').read()
    table = int.from_bytes(image[48:56], 'big')
    block = int.from_bytes(image[table:table + 8], 'big')
    with open('leak.qcow2', 'r+b') as f:
        f.seek(block + 2 * 40)
        f.write(b'\0\1')
        f.truncate(41 * 65536)
    codes = [run(*argv, code=None).returncode for argv in
             ([MORTISE, 'img', 'check', '-q', '-f', 'qcow2', 'leak.qcow2'], ['qemu-img', 'check', '-q', 'leak.qcow2'])]
    assert codes[0] == codes[1] == 3, codes
    img('check', '-q', '-r', 'leaks', 'leak.qcow2', code=1)            # what writes needs its format
    img('check', '-q', '-f', 'qcow2', '-r', 'leaks', 'leak.qcow2')
    qemu_img('check', '-q', 'leak.qcow2')
    img('check', '-f', 'raw', 'source.raw', code=63)
    img('check', '-f', 'qcow2', 'missing.qcow2', code=1)


def check_compare():
    shutil.copy('source.raw', 'other.raw')
    img('compare', '-f', 'raw', '-F', 'raw', 'source.raw', 'other.raw')
    with open('other.raw', 'r+b') as f:
        f.seek(5000001)
        old = f.read(1)
        f.seek(5000001)
        f.write(bytes([old[0] ^ 1]))
    a = img('compare', '-f', 'raw', '-F', 'raw', 'source.raw', 'other.raw', code=1)
    assert '5000001' in a.stdout, a.stdout
    with open('longer.raw', 'wb') as f:
        f.write(open('source.raw', 'rb').read())
        f.truncate(SIZE + 65536)
    img('compare', '-f', 'raw', '-F', 'raw', 'source.raw', 'longer.raw')
    img('compare', '-s', '-f', 'raw', '-F', 'raw', 'source.raw', 'longer.raw', code=1)
    img('compare', '-f', 'raw', '-F', 'raw', 'source.raw', 'missing.raw', code=2)
    img('compare', 'source.raw', code=2)


def check_snapshot():
    img('convert', '-f', 'raw', '-O', 'qcow2', 'source.raw', 's.qcow2')
    before = raw_of('s.qcow2', 'qcow2')
    img('snapshot', '-f', 'qcow2', '-c', 'one', 's.qcow2')
    io('s.qcow2', 'qcow2', 'write -P 7 0 1M', 'snapshot create two', 'write -P 8 1M 1M')
    qemu_img('check', '-q', 's.qcow2')
    assert re.findall(r'\b(one|two)\b', img('snapshot', '-l', 's.qcow2').stdout) == ['one', 'two']
    img('convert', '-f', 'qcow2', '-l', 'one', '-O', 'raw', 's.qcow2', 'one.raw')
    assert open('one.raw', 'rb').read() == before
    qemu_img('snapshot', '-a', 'two', 's.qcow2')
    io('s.qcow2', 'qcow2', 'read -P 7 0 1M')
    img('snapshot', '-f', 'qcow2', '-a', 'one', 's.qcow2')
    assert raw_of('s.qcow2', 'qcow2') == before
    img('snapshot', '-f', 'qcow2', '-d', 'two', 's.qcow2')
    img('snapshot', '-f', 'qcow2', '-d', 'missing', 's.qcow2', code=1)
    img('snapshot', '-c', 'x', 's.qcow2', code=1)
    qemu_img('check', '-q', 's.qcow2')


def check_resize():
    for name in ('raw', 'qcow2', 'vdi'):
        path = 'r.' + name
        img('convert', '-f', 'raw', '-O', name, 'source.raw', path)
        img('resize', '-q', '-f', name, path, '+1M')
        assert theirs('info', '-f', name, path)['virtual-size'] == SIZE + (1 << 20)
        img('resize', '-q', '-f', name, path, '-1M', code=1)
        img('resize', '-q', '-f', name, '--shrink', path, '-1M')
        same('source.raw', 'raw', path, name)
        img('resize', '-q', path, '1M', code=1)
    # a longer disk below does not show through, not even where the disk ended inside of a cluster
    for size in (1 << 20, (1 << 20) + 512, (1 << 20) + 66048):
        qemu_img('create', '-q', '-f', 'qcow2', '-b', 'source.raw', '-F', 'raw', 'short.qcow2', size)
        img('resize', '-q', '-f', 'qcow2', 'short.qcow2', '2M')
        with open('source.raw', 'rb') as f:
            assert raw_of('short.qcow2', 'qcow2') == f.read(size) + bytes((2 << 20) - size), size
        qemu_img('check', '-q', '-f', 'qcow2', 'short.qcow2')


def check_bitmaps():
    """Bitmaps of others: kept, and marked in use by the first writer that does not keep them up to date."""
    def flags():
        info = theirs('info', '-f', 'qcow2', 'bits.qcow2')['format-specific']['data']['bitmaps']
        return [(b['name'], 'in-use' in b['flags']) for b in info]

    qemu_img('create', '-q', '-f', 'qcow2', 'bits.qcow2', '8M')
    for words in (['b0'], ['-g', '1M', 'b1']):
        qemu_img('bitmap', '-f', 'qcow2', '--add', *words[:-1], 'bits.qcow2', words[-1])
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 0 3M', 'bits.qcow2')
    assert ours('check', '-f', 'qcow2', 'bits.qcow2').get('leaks', 0) == 0
    assert flags() == [('b0', False), ('b1', False)]
    shutil.copy('bits.qcow2', 'two.qcow2')
    io('bits.qcow2', 'qcow2', 'write -P 2 1M 2M')
    img('snapshot', '-f', 'qcow2', '-c', 's', 'bits.qcow2')
    img('resize', '-q', '-f', 'qcow2', 'bits.qcow2', '12M')
    img('check', '-q', '-f', 'qcow2', '-r', 'all', 'bits.qcow2')
    assert flags() == [('b0', True), ('b1', True)]
    for name in ('b0', 'b1'):
        qemu_img('check', '-f', 'qcow2', 'bits.qcow2')
        qemu_img('bitmap', '-f', 'qcow2', '--remove', 'bits.qcow2', name)
    qemu_img('check', '-f', 'qcow2', 'bits.qcow2')
    img('amend', '-f', 'qcow2', '-o', 'compat=0.10', 'two.qcow2')
    qemu_img('check', '-f', 'qcow2', 'two.qcow2')
    assert raw_of('two.qcow2', 'qcow2')[:3 << 20] == b'\1' * (3 << 20)


def dirty(path, name):
    """The dirty runs of a bitmap, as qemu-nbd exports them."""
    server = subprocess.Popen(['qemu-nbd', '-r', '-f', 'qcow2', '-B', name, '-k', os.path.abspath('sock'), '-t', path])
    try:
        node = f'driver=nbd,server.type=unix,server.path={os.path.abspath("sock")},x-dirty-bitmap=qemu:dirty-bitmap:{name}'
        for _ in range(600):
            if os.path.exists('sock'):
                break
            assert server.poll() is None
            time.sleep(0.05)
        extents = json.loads(qemu_img('map', '--output=json', '--image-opts', node).stdout)
    finally:
        server.terminate()
        server.wait()
    return [(e['start'], e['length']) for e in extents if not e['data']]


def check_bitmap_command():
    """What QEMU has marked is switched, merged and cleared here, and QEMU reads it."""
    def flags(path):
        return {b['name']: (b['flags'], b['granularity'])
                for b in theirs('info', path)['format-specific']['data'].get('bitmaps', [])}

    def bitmap(*words, code=0):
        img('bitmap', '-f', 'qcow2', *words, code=code)

    qemu_img('create', '-q', '-f', 'qcow2', 'inc.qcow2', '8M')
    bitmap('--add', 'inc.qcow2', 'b0')
    bitmap('--add', '--disable', '-g', '4k', 'inc.qcow2', 'fine')
    bitmap('--add', '-g', '1M', 'inc.qcow2', 'coarse')
    assert flags('inc.qcow2') == {'b0': (['auto'], 65536), 'fine': ([], 4096), 'coarse': (['auto'], 1 << 20)}
    for words in (['--add', 'inc.qcow2', 'b0'], ['--add', '-g', '5k', 'inc.qcow2', 'x'], ['--clear', 'inc.qcow2', 'x'],
                  ['--merge', 'x', 'inc.qcow2', 'b0'], ['inc.qcow2', 'b0'], ['-g', '4k', '--clear', 'inc.qcow2', 'b0'],
                  ['-b', 'inc.qcow2', '--clear', 'inc.qcow2', 'b0'], ['--add', 'source.raw', 'x']):
        bitmap(*words, code=1)
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 96k 4k', '-c', 'write -P 1 5M 200k', 'inc.qcow2')
    assert dirty('inc.qcow2', 'b0') == [(65536, 65536), (5 << 20, 262144)] and dirty('inc.qcow2', 'fine') == []
    assert dirty('inc.qcow2', 'coarse') == [(0, 1 << 20), (5 << 20, 1 << 20)]
    bitmap('--merge', 'b0', 'inc.qcow2', 'fine')
    assert dirty('inc.qcow2', 'fine') == [(65536, 65536), (5 << 20, 262144)]
    qemu_img('create', '-q', '-f', 'qcow2', 'far.qcow2', '8M')
    bitmap('--add', '--merge', 'fine', '--merge', 'b0', '-b', 'inc.qcow2', '-F', 'qcow2', '-g', '128k', 'far.qcow2', 'f')
    assert dirty('far.qcow2', 'f') == [(0, 131072), (5 << 20, 262144)]
    qemu_img('bitmap', '--merge', 'f', '-b', 'far.qcow2', '-F', 'qcow2', 'inc.qcow2', 'fine')
    bitmap('--clear', '--enable', 'inc.qcow2', 'b0')
    assert dirty('inc.qcow2', 'b0') == [] and dirty('inc.qcow2', 'fine') == [(0, 131072), (5 << 20, 262144)]
    mine, judge = (i['format-specific']['data']['bitmaps'] for i in (ours('info', '-f', 'qcow2', 'inc.qcow2'),
                                                                     theirs('info', 'inc.qcow2')))
    assert mine == judge, f'{mine} {judge}'
    # a read by a writer leaves them, a write makes them worthless: then they can be removed only
    io('inc.qcow2', 'qcow2', 'read -P 1 96k 4k')
    assert not [f for f, _ in flags('inc.qcow2').values() if 'in-use' in f]
    io('inc.qcow2', 'qcow2', 'write -P 1 96k 4k')
    assert len([f for f, _ in flags('inc.qcow2').values() if 'in-use' in f]) == 2
    assert dirty('inc.qcow2', 'fine') == [(0, 131072), (5 << 20, 262144)]
    bitmap('--clear', 'inc.qcow2', 'b0', code=1)
    for name in ('b0', 'fine', 'coarse'):
        bitmap('--remove', 'inc.qcow2', name)
        qemu_img('check', '-q', 'inc.qcow2')
    assert flags('inc.qcow2') == {}


def check_bitmap_copies():
    """convert --bitmaps, and measure's word for them, beside QEMU's."""
    def flags(path):
        return {b['name']: (b['flags'], b['granularity'])
                for b in theirs('info', path)['format-specific']['data'].get('bitmaps', [])}

    def convert(*words, code=0):
        return img('convert', '-f', 'qcow2', '-O', 'qcow2', '--bitmaps', *words, code=code)

    qemu_img('create', '-q', '-f', 'qcow2', 'from.qcow2', '8390144')                # a bit more than whole clusters
    for words in (['b0'], ['--disable', '-g', '4k', 'fine'], ['-g', '1M', 'coarse']):
        qemu_img('bitmap', '--add', *words[:-1], 'from.qcow2', words[-1])
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 1 96k 4k', '-c', 'write -P 1 8M 1k', 'from.qcow2')
    qemu_img('bitmap', '--merge', 'b0', 'from.qcow2', 'fine')
    for words in ([], ['-o', 'cluster_size=4k'], ['-o', 'compat=0.10']):
        a, b = (of('measure', '-f', 'qcow2', '-O', 'qcow2', *words, 'from.qcow2').get('bitmaps') for of in (ours, theirs))
        assert a == b and (a is None) == bool(words and 'compat' in words[1]), f'{words}: {a} {b}'
    assert 'bitmaps' not in ours('measure', '-f', 'qcow2', '-O', 'raw', 'from.qcow2')
    convert('from.qcow2', 'to.qcow2')
    assert flags('to.qcow2') == flags('from.qcow2') and len(flags('to.qcow2')) == 3, flags('to.qcow2')
    for name in ('b0', 'fine', 'coarse'):
        assert dirty('to.qcow2', name) == dirty('from.qcow2', name) != [], name
    same('from.qcow2', 'qcow2', 'to.qcow2', 'qcow2')
    qemu_img('check', '-q', 'to.qcow2')
    qemu_img('create', '-q', '-f', 'qcow2', 'old.qcow2', '16M')
    convert('-n', 'from.qcow2', 'old.qcow2')
    assert dirty('old.qcow2', 'fine')[0] == (65536, 65536) and flags('old.qcow2') == flags('from.qcow2')
    for words in (['-n', 'from.qcow2', 'old.qcow2'], ['from.qcow2', 'to.qcow2', 'x'], ['-l', 's', 'from.qcow2', 'x'],
                  ['-O', 'raw', 'from.qcow2', 'x'], ['-f', 'raw', 'source.raw', 'x'], ['-O', 'raw', 'from.qcow2', '-']):
        convert(*words, code=1)
    # what a writer made worthless
    io('from.qcow2', 'qcow2', 'write -P 2 96k 4k')
    assert '--skip-broken-bitmaps' in convert('from.qcow2', 'x', code=1).stderr and not os.path.exists('x')
    assert "'b0' is not up to date" in convert('--skip-broken-bitmaps', 'from.qcow2', 'some.qcow2').stderr
    assert list(flags('some.qcow2')) == ['fine'] and dirty('some.qcow2', 'fine') == dirty('from.qcow2', 'fine')
    img('convert', '-f', 'qcow2', '--skip-broken-bitmaps', 'from.qcow2', 'x', code=1)


def check_rebase_and_commit():
    rng = random.Random(SEED)
    make_source('b1.raw', SIZE, rng)
    make_source('b2.raw', SIZE // 2, rng)
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'b1.raw', '-F', 'raw', 'o.qcow2')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 9 1M 100k', '-c', 'write -z 3M 128k', 'o.qcow2')
    want = raw_of('o.qcow2', 'qcow2')
    img('rebase', '-f', 'qcow2', '-b', 'b2.raw', '-F', 'raw', 'o.qcow2')
    assert raw_of('o.qcow2', 'qcow2') == want
    assert theirs('info', 'o.qcow2')['backing-filename'] == 'b2.raw'
    img('rebase', '-f', 'qcow2', '-b', 'o.qcow2', '-F', 'qcow2', 'o.qcow2', code=1)
    img('create', '-f', 'qcow2', '-b', 'o.qcow2', '-F', 'qcow2', 'o.qcow2', code=1)
    img('rebase', '-f', 'qcow2', '-b', '', 'o.qcow2')
    assert 'backing-filename' not in theirs('info', 'o.qcow2') and raw_of('o.qcow2', 'qcow2') == want
    img('rebase', '-f', 'qcow2', '-u', '-b', 'anything', '-F', 'raw', 'o.qcow2')
    assert theirs('info', 'o.qcow2')['backing-filename'] == 'anything'

    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'b1.raw', '-F', 'raw', 'c.qcow2')
    img('rebase', '-f', 'qcow2', '-c', '-T', 'none', '-b', 'b2.raw', '-F', 'raw', 'c.qcow2')
    same('c.qcow2', 'qcow2', 'b1.raw', 'raw')
    qemu_img('check', '-q', 'c.qcow2')
    own = [e for e in ours('map', '-f', 'qcow2', 'c.qcow2') if e['depth'] == 0 and e['data']]
    assert sum(e['length'] for e in own if e['compressed']) > sum(e['length'] for e in own) // 4, own
    img('rebase', '-f', 'raw', '-c', '-b', '', 'b2.raw', code=1)

    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'b2.raw', '-F', 'raw', 'mid.qcow2', '5M')
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'mid.qcow2', '-F', 'qcow2', 'leaf.qcow2', '6M')
    run('qemu-io', '-f', 'qcow2', '-c', 'write -P 4 64k 200k', '-c', 'write -z 2M 128k', '-c', 'write -P 5 5M 64k', 'leaf.qcow2')
    want = raw_of('leaf.qcow2', 'qcow2')
    img('commit', '-f', 'qcow2', 'leaf.qcow2')
    assert raw_of('mid.qcow2', 'qcow2') == want and raw_of('leaf.qcow2', 'qcow2') == want
    for path in ('mid.qcow2', 'leaf.qcow2'):
        qemu_img('check', '-q', path)
    assert not [e for e in theirs('map', 'leaf.qcow2') if e['data'] and e['depth'] == 0]
    img('commit', '-f', 'qcow2', '-d', '-b', 'b2.raw', 'leaf.qcow2')
    assert open('b2.raw', 'rb').read() == want
    img('commit', '-f', 'raw', 'b2.raw', code=1)

    # a disk below that becomes longer does not show what lies below it
    short = SIZE // 2 // 65536 * 65536 + 1536
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'b1.raw', '-F', 'raw', 'mid.qcow2', str(short))
    qemu_img('create', '-q', '-f', 'qcow2', '-b', 'mid.qcow2', '-F', 'qcow2', 'leaf.qcow2', str(SIZE))
    want = raw_of('leaf.qcow2', 'qcow2')
    img('commit', '-f', 'qcow2', 'leaf.qcow2')
    assert raw_of('mid.qcow2', 'qcow2') == want and raw_of('leaf.qcow2', 'qcow2') == want


def check_others():
    img('dd', '-f', 'raw', '-O', 'raw', 'bs=64k', 'skip=3', 'count=5', 'if=source.raw', 'of=dd.raw')
    assert open('dd.raw', 'rb').read() == open('source.raw', 'rb').read()[3 * 65536:8 * 65536]
    img('amend', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 's.qcow2')
    assert theirs('info', 's.qcow2')['format-specific']['data']['lazy-refcounts'] is True
    assert 'lazy_refcounts' in img('amend', '-f', 'qcow2', '-o', 'help').stdout
    assert 'completed' in img('bench', '-f', 'qcow2', '-c', '500', '-d', '8', 's.qcow2').stdout
    img('bench', '-q', '-f', 'qcow2', '-w', '-c', '500', '-d', '8', '--flush-interval', '50', '-i', 'threads', 's.qcow2')
    img('bench', '-q', '-f', 'qcow2', '-i', 'native', 's.qcow2', code=1)
    for words in (['info', '--image-opts', 'driver=qcow2'], ['convert', '--object=secret,id=x', 'a', 'b']):
        assert 'there is no option ' + words[1].split('=')[0] in img(*words, code=1).stderr
    qemu_img('check', '-q', 's.qcow2')
    img('nothing', code=1)


def check_options():
    """Each option of each command stands in the manual."""
    page = open(os.environ.get('TEST_SRCDIR', '.') + '/docs/mortise-img.1', encoding='utf-8').read().replace('\\-', '-')
    commands = re.findall(r'^  ([a-z]+)  +[a-z]', img('--help').stdout, re.M)
    assert len(commands) > 10, commands
    for command in commands:
        assert f'.SS {command}\n' in page, f'mortise-img.1: no section {command}'
        for option in re.findall(r'^  (?:-., |    )(--[a-z-]+)', img(command, '--help').stdout, re.M):
            assert option in page, f'mortise-img.1: no {option} ({command})'


def main():
    need('qemu-img', 'qemu-io', 'qemu-nbd')
    check_options()
    folder = work_folder()
    need_formats('qcow2', 'vmdk')
    make_source('source.raw', SIZE)
    for check in (check_info, check_extents, check_map_and_measure, check_check, check_compare, check_snapshot, check_resize, check_bitmaps,
                  check_bitmap_command, check_bitmap_copies, check_rebase_and_commit, check_others):
        check()
        print(check.__name__)
    folder.cleanup()


main()
