#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""VMDK delta links: chains that mortise and QEMU make and write in turns, commit at each place of a chain, and parents that
were written to since, as the content identifiers tell. qemu-img is the judge, and libvmdk of what the text says."""
import json
import os
import random
import shutil

from img import MORTISE, SEED, img, make_source, need, need_formats, qemu_img, run, same, sound, work_folder

SIZE = (5 << 20) + 512
CHAIN = ('a.vmdk', 'b.vmdk', 'c.vmdk')
FORMS = (([], []), (['zeroed_grain=on'], []), ([], ['subformat=twoGbMaxExtentSparse']), (['subformat=monolithicFlat'], []))


def info(path):
    return json.loads(qemu_img('info', '--output=json', '-f', 'vmdk', path).stdout)


def cids(path):
    data = info(path)['format-specific']['data']
    return data['cid'], data['parent-cid']


def io(path, *commands, code=0):
    return run(MORTISE, 'io', '-q', '-f', 'vmdk', *sum((['-c', c] for c in commands), []), path, code=code)


def options(words):
    return ['-o', ','.join(words)] if words else []


class Disk:
    """What a disk has to hold, changed as the disk is."""

    def __init__(self, rng, content):
        self.rng, self.content = rng, bytearray(content)

    def write(self, path, tool, zeroes):
        """A few writes, by mortise or by QEMU; `zeroes`: some are of zeros."""
        words = []
        for _ in range(self.rng.randrange(1, 8)):
            at = self.rng.randrange(0, SIZE // 512) * 512
            length = min(self.rng.randrange(1, 300) * 512, SIZE - at)
            value = 0 if zeroes and self.rng.random() < .3 else self.rng.randrange(1, 255)
            words.append(f'write -P {value} {at} {length}' if value else f'write -z {at} {length}')
            self.content[at:at + length] = bytes([value]) * length
        if tool == 'qemu':
            run('qemu-io', '-f', 'vmdk', *sum((['-c', w] for w in words), []), path)
        else:
            io(path, *words)

    def look(self, path):
        """Both read the same, and find nothing wrong."""
        with open('want.raw', 'wb') as f:
            f.write(self.content)
        same('want.raw', 'raw', path, 'vmdk')
        img('compare', '-q', '-f', 'raw', '-F', 'vmdk', 'want.raw', path)


def chain_make(rng, base, upper, maker):
    """Three links, each written before the next one is made; what each of them holds."""
    disks = []
    for i, path in enumerate(CHAIN):
        disk = Disk(rng, disks[-1].content if disks else bytes(SIZE))
        if i == 0:
            img('convert', '-f', 'raw', '-O', 'vmdk', *options(base), 'source.raw', path)
            disk.content[:] = open('source.raw', 'rb').read()
        elif maker == 'qemu':
            qemu_img('create', '-q', '-f', 'vmdk', *options(upper), '-b', CHAIN[i - 1], '-F', 'vmdk', path)
        else:
            img('create', '-q', '-f', 'vmdk', *options(upper), '-b', CHAIN[i - 1], '-F', 'vmdk', path)
        disk.write(path, rng.choice(['qemu', 'mortise']), False)
        if i:
            assert cids(path)[1] == cids(CHAIN[i - 1])[0], f'{path} is not the child of {CHAIN[i - 1]}'
        disks.append(disk)
    return disks


def chain_told(path):
    """info tells of a whole chain what QEMU does; what it had to warn of."""
    words = ('info', '--output=json', '--backing-chain', '-f', 'vmdk', path)
    told = img(*words)
    ours, theirs = json.loads(told.stdout), json.loads(qemu_img(*words).stdout)
    assert [(i['filename'], i['format-specific']) for i in ours] == [(i['filename'], i['format-specific']) for i in theirs]
    return told.stderr


def check_chain(rng, base, upper, maker):
    disks = chain_make(rng, base, upper, maker)
    for turn in range(6):
        disks[2].write('c.vmdk', ('mortise', 'qemu')[turn % 2], True)
        disks[2].look('c.vmdk')
    for path, disk in zip(CHAIN, disks):
        disk.look(path)
        if 'subformat=monolithicFlat' not in base or path != 'a.vmdk':
            sound('vmdk', path)
    assert chain_told('c.vmdk') == ''
    if shutil.which('vmdkinfo') and not upper:
        said = run('vmdkinfo', 'c.vmdk').stdout
        assert 'b.vmdk' in said and f'0x{cids("b.vmdk")[0]:08x}' in said, said
    return disks


def check_commit(disks):
    """The link becomes empty, shows the same, and is still the child of what it was committed to, for QEMU too."""
    holes = os.stat('c.vmdk').st_blocks if os.stat('c.vmdk').st_size > 400000 else None
    img('commit', '-q', '-f', 'vmdk', 'c.vmdk')
    for path in ('b.vmdk', 'c.vmdk'):
        disks[2].look(path)
    disks[0].look('a.vmdk')
    assert cids('c.vmdk')[1] == cids('b.vmdk')[0] and cids('b.vmdk')[1] == cids('a.vmdk')[0]
    assert holes is None or os.stat('c.vmdk').st_blocks < holes, 'nothing was given back'
    assert not json.loads(img('check', '--output=json', '-f', 'vmdk', 'c.vmdk').stdout).get('allocated-clusters')
    # in the middle: what the links above show is what it was
    img('commit', '-q', '-f', 'vmdk', 'b.vmdk')
    for path in CHAIN:
        disks[2].look(path)
    # with an empty chain, and through two links at once
    disks[2].write('c.vmdk', 'mortise', True)
    img('commit', '-q', '-f', 'vmdk', '-b', 'a.vmdk', 'c.vmdk')
    disks[2].look('a.vmdk')
    for path in ('b.vmdk', 'c.vmdk'):                           # and those above it are none any more
        assert 'was written to since' in img('compare', '-f', 'raw', '-F', 'vmdk', 'want.raw', path, code=2).stderr
    said = chain_told('c.vmdk')
    assert 'b.vmdk: the disk below was written to since' in said, said


def check_links_changed():
    """Links that do not fit are each told of, the uppermost first, and no other one."""
    for above, below in zip('wxyz', '_wxy'):
        img('create', '-q', '-f', 'vmdk', *(['-b', f'{below}.vmdk', '-F', 'vmdk'] if below != '_' else []), f'{above}.vmdk',
            *(['1M'] if below == '_' else []))
    io('w.vmdk', 'write -P 3 0 64k')
    img('amend', '-f', 'vmdk', '-o', 'parent_cid=12345678', 'z.vmdk')
    said = chain_told('z.vmdk').splitlines()
    assert [line.split(':')[:3] for line in said] == [['mortise', ' warning', f' {i}.vmdk'] for i in 'zx'], said
    assert all('was written to since' in line for line in said) and 'wanted is 12345678' in said[0], said


def check_parent_changed():
    """A parent that was written to: found by both, before anything of the delta is read; info tells all the same."""
    for name in ('p.vmdk', 'other.vmdk'):
        img('create', '-q', '-f', 'vmdk', name, '1M')
    io('p.vmdk', 'write -P 1 0 1M')
    img('create', '-q', '-f', 'vmdk', '-b', 'p.vmdk', '-F', 'vmdk', 'd.vmdk')
    io('p.vmdk', 'read -P 1 0 1M', 'flush')
    io('d.vmdk', 'read -P 1 0 1M', 'write -P 2 0 64k')          # it was only read
    img('resize', '-f', 'vmdk', 'd.vmdk', '2M', code=1)
    before = open('d.vmdk', 'rb').read()
    for written in (lambda: io('p.vmdk', 'write -P 3 512k 64k'), lambda: run('qemu-io', '-f', 'vmdk', '-c', 'write -P 3 512k 64k', 'p.vmdk'),
                    lambda: shutil.copy('other.vmdk', 'p.vmdk')):
        shutil.copy('p.vmdk', 'saved.vmdk')
        written()
        for words in (['convert', '-f', 'vmdk', '-O', 'raw', 'd.vmdk', 'no.raw'], ['commit', '-f', 'vmdk', 'd.vmdk'],
                      ['map', '-f', 'vmdk', 'd.vmdk'], ['create', '-f', 'vmdk', '-b', 'd.vmdk', '-F', 'vmdk', 'no.vmdk']):
            said = img(*words, code=1).stderr
            assert f'is {cids("p.vmdk")[0]:08x}, and wanted is {cids("d.vmdk")[1]:08x}' in said, said
        assert f'd.vmdk: the disk below was written to since this delta disk was made, or is another one: its CID is {cids("p.vmdk")[0]:08x}' \
            in chain_told('d.vmdk')
        assert io('d.vmdk', 'write -P 9 0 64k', code=1).stdout == ''
        assert run('qemu-io', '-f', 'vmdk', '-c', 'read 512k 4k', 'd.vmdk', code=None).returncode, 'QEMU finds nothing'
        assert open('d.vmdk', 'rb').read() == before and not os.path.exists('no.raw') and not os.path.exists('no.vmdk')
        assert json.loads(img('info', '--output=json', '-f', 'vmdk', 'd.vmdk').stdout)['backing-filename'] == 'p.vmdk'
        os.unlink('p.vmdk')
        said = img('info', '--backing-chain', '-f', 'vmdk', 'd.vmdk', code=1).stderr
        assert said == "mortise: error: d.vmdk names 'p.vmdk': No such file or directory\n", said
        os.replace('saved.vmdk', 'p.vmdk')
        io('d.vmdk', 'read -P 2 0 64k', 'read -P 1 64k 960k')


def check_amend():
    """Who knows better says so: then it is read, by QEMU as well."""
    io('p.vmdk', 'write -P 3 512k 64k')
    for value in ('xyz', '123456789', 'ffffffff', ''):
        img('amend', '-f', 'vmdk', '-o', f'parent_cid={value}', 'd.vmdk', code=1)
    img('amend', '-f', 'vmdk', '-o', 'parent_cid=1', 'p.vmdk', code=1)
    img('create', '-q', '-f', 'vmdk', '-o', 'parent_cid=1', 'no.vmdk', '1M', code=1)
    hint = img('map', '-f', 'vmdk', 'd.vmdk', code=1).stderr.split('parent_cid=')[1][:8]
    img('amend', '-f', 'vmdk', '-o', f'parent_cid={hint}', 'd.vmdk')
    io('d.vmdk', 'read -P 2 0 64k', 'read -P 3 512k 64k', 'read -P 1 64k 448k')
    run('qemu-io', '-f', 'vmdk', '-c', 'read -P 2 0 64k', '-c', 'read -P 3 512k 64k', 'd.vmdk')
    qemu_img('check', '-q', '-f', 'vmdk', 'd.vmdk')


def check_refusals():
    """What cannot be is said before anything is done."""
    before = open('d.vmdk', 'rb').read(), open('p.vmdk', 'rb').read()
    for below in ('other.vmdk', ''):
        for unsafe in ([], ['-u']):
            said = img('rebase', *unsafe, '-f', 'vmdk', '-b', below, '-F', 'vmdk', 'd.vmdk', code=1).stderr
            assert 'keep the disk below' in said, said
    img('create', '-q', '-f', 'vmdk', '-o', 'subformat=streamOptimized', 'stream.vmdk', '1M')
    empty = open('stream.vmdk', 'rb').read()
    for fmt in ('vmdk', 'qcow2'):
        img('create', '-q', '-f', fmt, '-b', 'stream.vmdk', '-F', 'vmdk', 'above', '1M')
        run(MORTISE, 'io', '-q', '-f', fmt, '-c', 'write -P 1 1000 5000', 'above')
        assert 'can only be filled once' in img('commit', '-f', fmt, 'above', code=1).stderr
        assert open('stream.vmdk', 'rb').read() == empty
    qemu_img('create', '-q', '-f', 'qcow2', 'q.qcow2', '1M')
    assert 'has to be one too' in img('create', '-f', 'vmdk', '-b', 'q.qcow2', '-F', 'qcow2', 'no.vmdk', code=1).stderr
    assert (open('d.vmdk', 'rb').read(), open('p.vmdk', 'rb').read()) == before and not os.path.exists('no.vmdk')


def main():
    need('qemu-img', 'qemu-io')
    need_formats('vmdk', 'qcow2')
    folder = work_folder()
    rng = random.Random(SEED)
    make_source('source.raw', SIZE, rng)
    for base, upper in FORMS:
        for maker in ('mortise', 'qemu'):
            check_commit(check_chain(rng, base, upper, maker))
        print(f'chains: {base} {upper}')
    for check in (check_parent_changed, check_links_changed, check_amend, check_refusals):
        check()
        print(check.__name__)
    folder.cleanup()


main()
