# SPDX-License-Identifier: MIT
"""Differencing disks of Hyper-V, which no program here writes: of the fuzzers' corpora, with a parent of one's own."""
import os
import struct
import uuid

PARENT_LOCATOR = uuid.UUID('a8d35f2d-b30b-454d-abf7-d3d84834ab0c').bytes_le
LOCATOR_TYPE = uuid.UUID('b04aefb7-d19e-4a81-b789-25b8e9445913').bytes_le


def corpus(fmt):
    folder = os.environ.get('TEST_SRCDIR') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    with open(f'{folder}/plugins/block-{fmt}/corpus/differencing', 'rb') as f:
        return bytearray(f.read())


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


CRC32C = crc32c_table()


def vhd_uuid(path):
    """By what a VHD is known: in its footer."""
    with open(path, 'rb') as f:
        return f.read()[-512:][68:84]


def vhdx_guids(path):
    """DataWriteGuid of both headers, the newer one first."""
    with open(path, 'rb') as f:
        data = f.read(3 << 16)
    headers = [data[at:at + 4096] for at in (1 << 16, 2 << 16)]
    headers.sort(key=lambda h: struct.unpack('<Q', h[8:16]), reverse=True)
    return [uuid.UUID(bytes_le=h[32:48]) for h in headers]


def vhd(path, name, parent_uuid=bytes(16)):
    """A differencing VHD whose parent is `name`, in the dynamic header, with no other word for it."""
    image = corpus('vhd')
    at = image.index(b'cxsparse')
    image[at + 40:at + 56] = parent_uuid
    image[at + 64:at + 576] = name.encode('utf-16-be').ljust(512, b'\0')
    image[at + 576:at + 768] = bytes(192)
    image[at + 36:at + 40] = bytes(4)
    image[at + 36:at + 40] = struct.pack('>I', ~sum(image[at:at + 1024]) & 0xffffffff)
    with open(path, 'wb') as f:
        f.write(image)


def locator(words):
    """A parent locator of these keys and values."""
    entries, texts = b'', b''
    for key, value in words.items():
        key, value = key.encode('utf-16-le'), value.encode('utf-16-le')
        at = 20 + 12 * len(words) + len(texts)
        entries += struct.pack('<IIHH', at, at + len(key), len(key), len(value))
        texts += key + value
    return LOCATOR_TYPE + struct.pack('<HH', 0, len(words)) + entries + texts


def vhdx(path, name, **more):
    """A differencing VHDX, of the parts that the corpus has, whose relative_path is `name`; more keys of its locator."""
    parts, image = corpus('vhdx'), bytearray(4 << 20)
    for at, length in ((0, 512), (65536, 512), (196608, 512), (1 << 20, 12288), (2 << 20, 8192), (3 << 20, 65536)):
        image[at:at + min(length, len(parts))] = parts[:length]
        del parts[:length]
    entry = image.index(PARENT_LOCATOR)
    text, at = locator({**more, 'relative_path': name}), image.index(LOCATOR_TYPE)
    image[entry + 20:entry + 24] = struct.pack('<I', len(text))
    image[at:at + len(text)] = text
    for at, length in ((65536, 4096), (196608, 65536)):
        image[at + 4:at + 8] = bytes(4)
        image[at + 4:at + 8] = struct.pack('<I', crc32c(image[at:at + length]))
    with open(path, 'wb') as f:
        f.write(image)
