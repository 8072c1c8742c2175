#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise nbd with clients that others wrote: QEMU's, libnbd's; its life, TLS, sockets that the parent opens, kill -9."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

from nbd import MORTISE, SEED, TIMEOUT, Client, Server, content, io, make_certificates, make_disk, need, run, work_folder

SIZE = 16 << 20
QEMU_MAP = ('qemu-img', 'map', '--output=json', '-f')


def mapped(*argv):
    """(start, length, zero, data) of a disk, neighbours that are alike as one."""
    out = []
    for e in json.loads(run(*QEMU_MAP, *argv).stdout):
        if out and out[-1][2:] == [e['zero'], e['data']]:
            out[-1][1] += e['length']
        else:
            out.append([e['start'], e['length'], e['zero'], e['data']])
    return out


def check_reading():
    make_disk('a.raw', SIZE)
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'a.qcow2')
    run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'c.qcow2')
    for path, fmt in (('a.raw', 'raw'), ('a.qcow2', 'qcow2'), ('c.qcow2', 'qcow2')):
        with Server('-f', fmt, '-r', '-t', '-e', 4, '-k', 's', '-x', 'a disk', '-D', 'some text', path) as s:
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', s.uri, 'a.raw')
            run('nbdcopy', s.uri, 'copy.raw')
            assert content('copy.raw') == content('a.raw'), path
            told = json.loads(run('nbdinfo', '--json', s.uri).stdout)['exports'][0]
            assert told['is_read_only'] and told['can_multi_conn'] and told['export-size'] == SIZE, told
            assert told['description'] == 'some text' and told['contexts'] == ['base:allocation'], told
            listed = run('qemu-nbd', '-L', '-k', os.path.abspath('s')).stdout
            assert "export: 'a disk'" in listed and 'description: some text' in listed, listed
            assert mapped('raw', s.uri) == mapped(fmt, path), path
        assert not os.path.exists('s')


def check_writing():
    rng = random.Random(SEED)
    for fmt in ('raw', 'qcow2'):
        run('qemu-img', 'create', '-q', '-f', fmt, 'w.img', str(SIZE))
        model = bytearray(SIZE)
        with Server('-f', fmt, '-t', '-k', 's', 'w.img') as s:
            for _ in range(6):
                commands = []
                for _ in range(40):
                    at, n, kind = rng.randrange(0, SIZE - 300000), rng.randrange(1, 300000), rng.randrange(4)
                    pattern = rng.randrange(1, 255)
                    if kind < 2:
                        commands.append(f'write {"-f" if kind else ""} -P {pattern} {at} {n}')
                        model[at:at + n] = bytes([pattern]) * n
                    elif kind == 2:
                        commands.append(f'write -z {"-u" if n & 1 else ""} {at} {n}')
                        model[at:at + n] = bytes(n)
                    else:
                        at = rng.randrange(0, SIZE - 4096, 4096)
                        commands.append(f'read -P {model[at]} {at} 1')
                told = io(s.uri, *commands, 'flush')
                assert 'failed' not in told, told
        run('qemu-img', 'convert', '-f', fmt, '-O', 'raw', 'w.img', 'w.out')
        assert content('w.out') == bytes(model), fmt
        if fmt == 'qcow2':
            run('qemu-img', 'check', '-q', '-f', fmt, 'w.img')
            with Server('-f', fmt, '-t', '-k', 's', 'w.img') as s:
                io(s.uri, f'discard 0 {SIZE}')
            assert mapped(fmt, 'w.img')[0][2]


def check_life():
    """It ends after the last client, goes on with -t, and takes its socket and pid file away."""
    s = Server('-f', 'raw', '-k', 's', '--pid-file', 'pid', 'a.raw')
    assert int(content('pid')) == s.process.pid
    socket.socket(socket.AF_UNIX).connect('s')       # no session: does not count
    io(s.uri, 'read 0 512')
    assert s.wait() == 0 and not os.path.exists('s') and not os.path.exists('pid')
    with Server('-f', 'raw', '-t', '-p', 0, 'a.raw') as s:
        assert s.uri.startswith('nbd://127.0.0.1:'), s.uri
        for _ in range(3):
            io(s.uri, 'read 0 512')
        assert s.end() == 0
    Server('-f', 'raw', '-k', 's', 'a.raw').end(signal.SIGKILL)
    assert os.path.exists('s')                       # what is left of it is no obstacle
    with Server('-f', 'raw', '-k', 's', 'a.raw') as s:
        assert 'Address already in use' in run(MORTISE, 'nbd', '-U', '-r', '-f', 'raw', '-k', 's', 'a.raw', code=1).stderr
        io(s.uri, 'read 0 512')
    run(MORTISE, 'nbd', '-f', 'raw', '-k', 's', '--fork', '--pid-file', 'pid', '-t', 'a.raw')
    io('nbd+unix:///?socket=s', 'read 0 512')
    os.kill(int(content('pid')), signal.SIGTERM)
    for path in ('nothing.raw', 'a.raw'):
        done = run(MORTISE, 'nbd', '--fork', '-f', 'qcow2', '-k', 't', path, code=1)
        assert path in done.stderr and not os.path.exists('t'), done.stderr
    assert 'format' in run(MORTISE, 'nbd', '-k', 's2', 'a.raw', code=1).stderr


def check_shared():
    """-e 2: the third client waits until one goes; writes of one are what the other reads."""
    run('qemu-img', 'create', '-q', '-f', 'qcow2', 'm.qcow2', str(SIZE))
    with Server('-f', 'qcow2', '-t', '-e', 2, '-k', 's', 'm.qcow2'):
        clients = []
        for _ in range(3):
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(TIMEOUT)
            c.connect('s')
            clients.append(c)
        for c in clients[:2]:
            assert c.recv(8, socket.MSG_WAITALL) == b'NBDMAGIC'
        clients[2].settimeout(0.2)
        try:
            assert clients[2].recv(8) == b'', 'a third client was served'
        except TimeoutError:
            pass
        clients[0].close()
        clients[2].settimeout(TIMEOUT)
        assert clients[2].recv(8, socket.MSG_WAITALL) == b'NBDMAGIC'
        for c in clients:
            c.close()
        run('nbdcopy', '--connections=2', 'a.raw', 'nbd+unix:///?socket=s')
        run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', 'a.raw', 'nbd+unix:///?socket=s')


def check_snapshot():
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'snap.qcow2')
    run('qemu-img', 'snapshot', '-c', 'before', 'snap.qcow2')
    run('qemu-io', '-f', 'qcow2', '-c', f'write -P 9 0 {SIZE}', 'snap.qcow2')
    for which in ('before', 'snapshot.name=before', '1'):
        with Server('-f', 'qcow2', '-l', which, '-k', 's', 'snap.qcow2') as s:
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', s.uri, 'a.raw')
    assert 'no snapshot' in run(MORTISE, 'nbd', '-f', 'qcow2', '-l', 'other', '-k', 's', 'snap.qcow2', code=1).stderr
    with Server('-f', 'raw', '-o', '1M', '-r', '-k', 's', 'a.raw') as s:
        assert f'{SIZE - (1 << 20)}' in run('nbdinfo', '--size', s.uri).stdout


def check_depth():
    run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'a.qcow2', '-F', 'qcow2', 'top.qcow2')
    run('qemu-io', '-f', 'qcow2', '-c', 'write 0 64k', 'top.qcow2')
    with Server('-f', 'qcow2', '-A', '-r', '-t', '-k', 's', 'top.qcow2') as s:
        told = json.loads(run('nbdinfo', '--json', '--map=qemu:allocation-depth', s.uri).stdout)
        assert told[0]['offset'] == 0 and told[0]['length'] == 65536 and told[0]['type'] == 1, told
        assert {e['type'] for e in told} == {0, 1, 2}, told


def check_tls():
    """Pre-shared keys and certificates; without them there is no way in."""
    if not shutil.which('psktool') or not shutil.which('certtool'):
        print('gnutls-bin is not installed: TLS is left out')
        return
    os.mkdir('psk')
    run('psktool', '-u', 'joe', '-p', 'psk/keys.psk')
    key = ('--object', 'tls-creds-psk,id=t,dir=psk,endpoint=server', '--tls-creds', 't')
    client = ['--image-opts', '--object', 'tls-creds-psk,id=c,dir=psk,endpoint=client,username=joe']
    with Server('-f', 'raw', '-r', '-t', '-e', 0, '-k', 's', *key, 'a.raw') as s:
        assert s.uri.startswith('nbds+unix://'), s.uri
        run('qemu-img', 'compare', *client, 'driver=nbd,path=s,tls-creds=c', 'driver=raw,file.filename=a.raw')
        run('nbdcopy', f'{s.uri}&tls-psk-file=psk/keys.psk'.replace('nbds+unix:///', 'nbds+unix://joe@/'), 'tls.raw')
        assert content('tls.raw') == content('a.raw')
        run('nbdinfo', s.uri.replace('nbds', 'nbd'), code=1)
        with open('psk/other.psk', 'w') as f:
            f.write('joe:' + '00' * 32 + '\n')
        run('nbdinfo', f'{s.uri}&tls-psk-file=psk/other.psk'.replace('nbds+unix:///', 'nbds+unix://joe@/'), code=1)
    make_certificates('pki')
    key = ('--object', 'tls-creds-x509,id=t,dir=pki', '--tls-creds', 't')
    client = ['--image-opts', '--object', 'tls-creds-x509,id=c,dir=pki,endpoint=client']
    with Server('-f', 'raw', '-r', '-t', '-p', 0, *key, 'a.raw') as s:
        port = s.uri.rstrip('/').rpartition(':')[2]
        run('qemu-img', 'compare', *client, f'driver=nbd,host=localhost,port={port},tls-creds=c',
            'driver=raw,file.filename=a.raw')
        run('nbdinfo', f'nbd://localhost:{port}/', code=1)
    assert 'id=none' in run(MORTISE, 'nbd', '-f', 'raw', '--tls-creds', 'none', '-k', 's', 'a.raw', code=1).stderr


def check_activation():
    """Sockets of the parent, as systemd hands them."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('act')
    listener.listen()

    def child():
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)                  # it may have been number 3 before
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
        os.execv(MORTISE, [MORTISE, 'nbd', '-f', 'raw', '-r', 'a.raw'])

    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(127)
    listener.close()                                 # a child that fails takes the socket with it
    io('nbd+unix:///?socket=act', 'read 0 512', options=['-r'])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def wait_until_free(path):
    """A killed process keeps its files, and their locks, until the kernel has taken down its io_uring."""
    end = time.monotonic() + 30
    while run('qemu-img', 'info', path, code=None).returncode and time.monotonic() < end:
        time.sleep(0.05)


def check_kill():
    """Whatever was acknowledged by a flush is there after kill -9; the image is sound."""
    for turn in range(4):
        run('qemu-img', 'create', '-q', '-f', 'qcow2', 'k.qcow2', str(SIZE))
        s = Server('-f', 'qcow2', '-t', '-e', 0, '-k', 'k', 'k.qcow2')
        client, rng, durable = Client('k'), random.Random(SEED + turn), {}
        for _ in range(10 + 10 * turn):
            at, pattern = rng.randrange(0, SIZE // 2, 65536), rng.randrange(1, 255)
            client.call(1, at, 65536, bytes([pattern]) * 65536)
            durable[at] = pattern
        client.call(3, 0, 0)
        for at in range(SIZE // 2, SIZE, 1 << 20):   # under way, or done and not flushed
            client.send(1, at, 1 << 20, bytes(1 << 20))
        s.end(signal.SIGKILL)
        wait_until_free('k.qcow2')
        assert run('qemu-img', 'check', '-q', '-f', 'qcow2', 'k.qcow2', code=None).returncode in (0, 3)
        reads = sum((['-c', f'read -P {p} {at} 65536'] for at, p in durable.items()), [])
        told = run('qemu-io', '-r', '-f', 'qcow2', *reads, 'k.qcow2').stdout
        assert 'failed' not in told, told


def check_client_killed():
    """A client that dies in the middle leaves the server to the others."""
    with Server('-f', 'raw', '-t', '-e', 0, '-k', 's', 'a.raw') as s:
        for _ in range(4):
            client = subprocess.Popen(['nbdcopy', '--synchronous', s.uri, 'null:'], stderr=subprocess.DEVNULL)
            writer = socket.socket(socket.AF_UNIX)
            writer.connect('s')
            client.kill()
            client.wait()
            writer.close()
            io(s.uri, 'read 0 1M')
        assert s.end() == 0


def main():
    need('qemu-img', 'qemu-io', 'qemu-nbd', 'nbdcopy', 'nbdinfo')
    folder = work_folder()
    for check in (check_reading, check_writing, check_life, check_shared, check_snapshot, check_depth, check_tls,
                  check_activation, check_kill, check_client_killed):
        print(check.__name__, flush=True)
        check()
    os.chdir('/')
    folder.cleanup()


main()
