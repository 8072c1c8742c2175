#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""block-nbd with servers that others wrote: mortise img and io with a URI, lost connections, TLS, servers that talk nonsense."""
import atexit
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from nbd import MORTISE, SEED, TIMEOUT, Server, content, make_certificates, make_disk, need, run, work_folder

SIZE = 16 << 20


class Peer:
    """A server of another make, at the Unix socket `path`."""

    def __init__(self, path, *argv):
        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL)
        atexit.register(self.kill)
        limit = time.monotonic() + TIMEOUT
        while not os.path.exists(path):
            assert self.process.poll() is None and time.monotonic() < limit, f'{argv[0]} did not begin'
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()


def uri(path):
    return f'nbd+unix:///?socket={os.path.abspath(path)}'


def img(*argv, code=0):
    return run(MORTISE, 'img', *argv, code=code)


def io(where, *commands, code=0):
    return run(MORTISE, 'io', '-f', 'raw', where, *sum((['-c', c] for c in commands), []), code=code).stdout


def check_peers():
    """Everything that a disk can be asked for, of two servers."""
    servers = [('qemu', 'q', ('qemu-nbd', '-t', '-f', 'raw', '--discard=unmap', '-k', os.path.abspath('q'), 'w.raw'))]
    if shutil.which('nbdkit'):
        servers.append(('nbdkit', 'k', ('nbdkit', '-f', '-U', 'k', 'memory', str(SIZE))))
        servers.append(('nbdkit, poor', 'p', ('nbdkit', '-f', '-U', 'p', '--filter=nozero', '--filter=fua', 'memory', str(SIZE))))
    make_disk('a.raw', SIZE)
    for name, path, argv in servers:
        run('qemu-img', 'create', '-q', '-f', 'raw', 'w.raw', str(SIZE))
        peer = Peer(path, *argv)
        told = json.loads(img('info', '--output=json', uri(path)).stdout)
        assert told['virtual-size'] == SIZE, told
        img('convert', '-n', '-f', 'raw', '-O', 'raw', 'a.raw', uri(path))
        img('compare', '-f', 'raw', '-F', 'raw', uri(path), 'a.raw')
        img('convert', '-O', 'qcow2', uri(path), 'o.qcow2')
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', 'a.raw', 'o.qcow2')
        holes = [e for e in json.loads(img('map', '--output=json', uri(path)).stdout) if e['zero']]
        assert holes, f'{name}: no hole is seen'
        told = io(uri(path), 'write -P 3 1000 5000', 'read -P 3 1000 5000', 'write -f -P 4 70000 1', 'read -P 4 70000 1',
                  'write -z 4096 8192', 'read -P 0 4096 8192', 'write -z -u 1M 3M', 'read -P 0 1M 3M', 'discard 8M 1M',
                  'write -P 9 0 16M', 'read -P 9 0 16M', 'flush')
        assert 'failed' not in told, f'{name}: {told}'
        peer.kill()
        os.unlink(path)


def check_random():
    """Seeded operations, several under way, against an array of bytes."""
    rng, model = random.Random(SEED), bytearray(SIZE)
    run('qemu-img', 'create', '-q', '-f', 'raw', 'r.raw', str(SIZE))
    with Server('-f', 'raw', '-t', '-k', 'r', 'r.raw') as s:
        for _ in range(4):
            commands = []
            for _ in range(60):
                at, n, p = rng.randrange(0, SIZE - 200000), rng.randrange(1, 200000), rng.randrange(1, 255)
                if rng.randrange(3):
                    commands.append(f'aio_write -q -P {p} {at} {n}')
                    model[at:at + n] = bytes([p]) * n
                else:
                    commands.append(f'aio_write -q -z {at} {n}')
                    model[at:at + n] = bytes(n)
                commands.append('aio_flush')         # they may overlap
            assert 'failed' not in io(s.uri, *commands)
    assert content('r.raw') == bytes(model)


def check_reconnect():
    """A server that dies and comes back, with requests under way, goes unnoticed."""
    run('qemu-img', 'create', '-q', '-f', 'raw', 'l.raw', str(SIZE))
    s = Server('-f', 'raw', '-t', '-k', 'l', 'l.raw')
    client = subprocess.Popen([MORTISE, 'io', '-f', 'raw', s.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(client.kill)
    for turn in range(3):
        client.stdin.write(f'write -P {turn + 1} 0 4M\n')
        client.stdin.flush()
        assert 'wrote' in client.stdout.readline()
        client.stdout.readline()
        s.end(signal.SIGKILL)
        client.stdin.write(f'read -P {turn + 1} 0 4M\n')
        client.stdin.flush()
        s = Server('-f', 'raw', '-t', '-k', 'l', 'l.raw')
        assert 'read' in client.stdout.readline()
        client.stdout.readline()
    client.stdin.write('write -P 7 0 4M\nflush\nquit\n')
    told = client.communicate(timeout=TIMEOUT)[0]
    assert 'failed' not in told and client.returncode == 0, told
    s.end()
    assert content('l.raw')[:4 << 20] == b'\7' * (4 << 20)


def check_tls():
    if not shutil.which('psktool'):
        print('psktool is not installed: TLS is left out')
        return
    os.mkdir('psk')
    run('psktool', '-u', 'joe', '-p', 'psk/keys.psk')
    with Server('-f', 'raw', '-r', '-t', '-k', 't', '--object', 'tls-creds-psk,id=t,dir=psk', '--tls-creds', 't',
                'a.raw') as s:
        keys = os.path.abspath('psk/keys.psk')
        img('compare', '-f', 'raw', '-F', 'raw', s.uri.replace(':///', '://joe@/') + f'&tls-psk-file={keys}', 'a.raw')
        img('info', s.uri.replace('nbds', 'nbd'), code=1)


def check_certificates():
    """A server is believed when its certificate is of the authority, for its name and of today; a client when it has one."""
    if not shutil.which('certtool'):
        print('certtool is not installed: certificates are left out')
        return
    for folder, words in (('pki', {}), ('other', {}), ('elsewhere', {'host': 'other.example'}),
                          ('old', {'more': 'activation_date = "2020-01-01 00:00:00"\nexpiration_date = "2020-02-01 00:00:00"\n'})):
        make_certificates(folder, **words)
    for folder, parts in (('stranger', ('pki/ca-cert.pem', 'other/client-cert.pem', 'other/client-key.pem')), ('none', ('pki/ca-cert.pem',))):
        os.mkdir(folder)
        for part in parts:
            shutil.copy(part, folder)

    def compare(port, folder, host='localhost', scheme='nbds', code=0):
        where = f'{scheme}://{host}:{port}/' + (f'?tls-certificates={os.path.abspath(folder)}' if folder else '')
        done = img('compare', '-f', 'raw', '-F', 'raw', where, 'a.raw', code=code)
        assert code == 0 or 'error' in done.stderr, done

    def server(folder):
        return Server('-f', 'raw', '-r', '-t', '-e', 0, '-p', 0, '--object', f'tls-creds-x509,id=t,dir={folder}', '--tls-creds', 't',
                      'a.raw')

    with server('pki') as s:
        port = s.uri.rstrip('/').rpartition(':')[2]
        compare(port, 'pki')
        compare(port, 'pki', host='127.0.0.1', code=2)              # not what the certificate is for
        for folder in ('other', 'stranger', 'none', 'nothing', None):
            compare(port, folder, code=2)
        compare(port, None, scheme='nbd', code=2)
        compare(port, 'pki')
    for folder in ('elsewhere', 'old'):
        with server(folder) as s:
            port = s.uri.rstrip('/').rpartition(':')[2]
            compare(port, folder, code=2)


def check_refusals():
    """What cannot be reached or is no server is an error with words; a name in an image is no URI."""
    assert 'No such file' in img('info', uri('nothing'), code=1).stderr
    assert 'no plugin opens' in img('info', 'gopher://x/', code=1).stderr
    with Server('-f', 'raw', '-r', '-t', '-k', 'n', 'a.raw') as s:
        assert 'raw, not qcow2' in img('info', '-f', 'qcow2', s.uri, code=1).stderr
        run('qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', s.uri, '-F', 'raw', 'named.qcow2', str(SIZE))
        done = run(MORTISE, 'img', 'compare', '-f', 'qcow2', '-F', 'raw', 'named.qcow2', 'a.raw', code=None)
        assert done.returncode > 1 and s.uri[:20] in done.stderr, done


def check_nonsense():
    """Seeded garbage in place of a server's words, from the first byte on or after a good beginning."""
    hello = b'NBDMAGICIHAVEOPT' + bytes([0, 3])
    ack = bytes.fromhex('0003e889045565a9')
    rng = random.Random(SEED)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('x')
    listener.listen()

    def serve():
        while True:
            try:
                peer = listener.accept()[0]
            except OSError:
                return
            words = rng.choice((b'', hello[:rng.randrange(18)], hello))
            if words == hello:
                words += rng.choice((b'', ack + rng.randbytes(rng.randrange(40)), ack + bytes([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0]) +
                                     ack + rng.randbytes(rng.randrange(60))))
            words += rng.randbytes(rng.randrange(100))
            try:
                peer.sendall(words)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):
                    pass
            except OSError:
                pass                                 # it had enough
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    for _ in range(25):
        done = run(MORTISE, 'img', 'info', uri('x'), code=None)
        assert done.returncode in (0, 1), done       # 0: it happened to be an answer
    listener.close()


def main():
    need('qemu-img', 'qemu-nbd')
    folder = work_folder()
    if run(MORTISE, 'describe', 'block-nbd', code=None).returncode:
        print('block-nbd is not built')
        sys.exit(77)
    for check in (check_peers, check_random, check_reconnect, check_tls, check_certificates, check_refusals,
                  check_nonsense):
        print(check.__name__, flush=True)
        check()
    os.chdir('/')
    folder.cleanup()


main()
