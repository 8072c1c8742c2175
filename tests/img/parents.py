#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the disk below a differencing VHD or VHDX is the one that the image was made of: another one is refused, before
anything of it is read, and info tells of the chain all the same. VDI: block-vdi's tests; VMDK: delta.py."""
import json
import uuid

from hyperv import vhd, vhd_uuid, vhdx, vhdx_guids
from img import MORTISE, img, need, need_formats, qemu_img, run, work_folder

OTHER = uuid.UUID('01020304-0506-0708-090a-0b0c0d0e0f10')


def opened(fmt, path):
    run(MORTISE, 'io', '-r', '-f', fmt, '-c', 'length', path)
    assert img('info', '--backing-chain', '-f', fmt, path).stderr == ''


def refused(fmt, path, fact, found, wanted):
    words = f'the disk below is another one than this image was made of, or has changed since: its {fact} is {found}, and the wanted one is {wanted}'
    for command in (('convert', '-f', fmt, '-O', 'raw', path, 'no.raw'), ('map', '-f', fmt, path)):
        said = img(*command, code=1).stderr
        assert words in said, said
    told = img('info', '--output=json', '--backing-chain', '-f', fmt, path)
    assert words in told.stderr and 'warning' in told.stderr, told.stderr
    return json.loads(told.stdout)


def check_vhd():
    qemu_img('create', '-q', '-f', 'vpc', '-o', 'force_size=on', 'base.vhd', '8M')
    own = vhd_uuid('base.vhd')
    shown = str(uuid.UUID(bytes_le=own))
    vhd('right.vhd', 'base.vhd', own)
    opened('vpc', 'right.vhd')
    # a VHD stays the same one when it is written to
    run('qemu-io', '-f', 'vpc', '-c', 'write -P 7 0 64k', 'base.vhd')
    opened('vpc', 'right.vhd')
    vhd('wrong.vhd', 'base.vhd', OTHER.bytes_le)
    child, parent = refused('vpc', 'wrong.vhd', 'uuid', shown, OTHER)
    assert child['format-specific']['data']['parent-uuid'] == str(OTHER) and parent['format-specific']['data']['uuid'] == shown


def check_vhdx():
    qemu_img('create', '-q', '-f', 'vhdx', 'base.vhdx', '8M')
    own = vhdx_guids('base.vhdx')[0]
    for keys in ({'parent_linkage': f'{{{own}}}'}, {'parent_linkage': f'{{{str(own).upper()}}}'},
                 {'parent_linkage': f'{{{OTHER}}}', 'parent_linkage2': f'{{{own}}}'}):
        vhdx('right.vhdx', 'base.vhdx', **keys)
        opened('vhdx', 'right.vhdx')
    vhdx('wrong.vhdx', 'base.vhdx', parent_linkage=f'{{{OTHER}}}')
    child, parent = refused('vhdx', 'wrong.vhdx', 'data-write-guid', own, OTHER)
    assert child['format-specific']['data']['parent-linkage'] == str(OTHER)
    assert parent['format-specific']['data']['data-write-guid'] == str(own)
    vhdx('none.vhdx', 'base.vhdx')
    refused('vhdx', 'none.vhdx', 'data-write-guid', own, 'not said')
    for broken in ('', '{}', str(own), f'{{{own}', f'{{{own}0}}', f'[{own}]'):
        vhdx('broken.vhdx', 'base.vhdx', parent_linkage=broken)
        assert 'what it says of its parent' in img('info', '-f', 'vhdx', 'broken.vhdx', code=1).stderr
    # written to: another one
    run('qemu-io', '-f', 'vhdx', '-c', 'write -P 7 0 64k', 'base.vhdx')
    now = vhdx_guids('base.vhdx')[0]
    assert now != own, 'QEMU gives no new identifier'
    refused('vhdx', 'right.vhdx', 'data-write-guid', now, OTHER)


def check_nameless():
    """An image that has only an identifier of its parent: what it is can be told, and whether it is sound."""
    img('create', '-q', '-f', 'vdi', 'base.vdi', '4M')
    img('create', '-q', '-f', 'vdi', '-b', 'base.vdi', '-F', 'vdi', 'top.vdi')
    vhd('nameless.vhd', '')
    vhdx('nameless.vhdx', '')
    img('create', '-q', '-f', 'vmdk', 'base.vmdk', '4M')
    img('create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'nameless.vmdk')
    with open('nameless.vmdk', 'r+b') as f:
        text = f.read(4096)
        f.seek(text.index(b'parentFileNameHint'))
        f.write(b'#')
    base = json.loads(img('info', '--output=json', '-f', 'vdi', 'base.vdi').stdout)['format-specific']['data']
    for fmt, path in (('vdi', 'top.vdi'), ('vpc', 'nameless.vhd'), ('vhdx', 'nameless.vhdx'), ('vmdk', 'nameless.vmdk')):
        told = json.loads(img('info', '--output=json', '-f', fmt, path).stdout)
        assert 'backing-filename' not in told, told
        if fmt == 'vdi':
            assert told['format-specific']['data']['parent-uuid'] == base['uuid'], (told, base)
        if fmt in ('vdi', 'vmdk'):
            img('check', '-f', fmt, path)
        for command in (('map',), ('info', '--backing-chain'), ('convert', '-O', 'raw')):
            said = img(*command, '-f', fmt, path, *(['no.raw'] if command[0] == 'convert' else []), code=1).stderr
            assert 'its parent is not named' in said, said


def main():
    need('qemu-img', 'qemu-io')
    need_formats('vdi', 'vhd', 'vhdx')
    folder = work_folder()
    for check in (check_vhd, check_vhdx, check_nameless):
        check()
        print(check.__name__)
    folder.cleanup()


main()
