# SPDX-License-Identifier: MIT
"""What the tests of NBD share: a folder of their own, servers that are ended with the test, peers as judges."""
import atexit
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

MORTISE = os.path.abspath(os.environ.get('MORTISE', './mortise'))
SEED = int(os.environ.get('SEED', '20260101'))
TIMEOUT = 60


def need(*programs):
    """Skips the test where a program is not there."""
    for program in programs:
        if not shutil.which(program):
            print(f'{program} is not installed')
            sys.exit(77)


def work_folder():
    """A new folder, which is the current one from now on, and goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix='mortise-nbd-')
    os.chdir(folder.name)
    return folder


def run(*argv, code=0, **more):
    """Runs a program, whose exit code must be `code` (None: any). What it printed."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=TIMEOUT, **more)
    if code is not None and done.returncode != code:
        sys.exit(f'{" ".join(map(str, argv))}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}')
    return done


class Server:
    """mortise nbd in the foreground; ready when it has said so."""

    def __init__(self, *argv, **more):
        self.process = subprocess.Popen([MORTISE, 'nbd', *map(str, argv)], stdout=subprocess.PIPE, text=True, **more)
        atexit.register(self.end, signal.SIGKILL)    # a test that fails leaves none behind
        line = self.process.stdout.readline()
        assert line.startswith('ready: '), f'mortise nbd {argv}: {line!r}'
        self.uri = line[len('ready: '):].strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self, sig=signal.SIGTERM):
        """Its exit code after the signal, or as it was."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        self.process.stdout.close()
        return self.process.wait(TIMEOUT)

    def wait(self):
        """Its exit code when it ends by itself."""
        return self.process.wait(TIMEOUT)


class Client:
    """The least of a client: one request at a time over a Unix socket, simple replies."""

    def __init__(self, path, name=b''):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.take(18)
        self.socket.sendall(struct.pack('>IQII', 3, 0x49484156454f5054, 1, len(name)) + name)
        self.size, self.flags = struct.unpack('>QH', self.take(10))

    def take(self, count):
        data = b''
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError('the server has ended the connection')
            data += more
        return data

    def send(self, kind, offset, length, payload=b'', flags=0):
        self.socket.sendall(struct.pack('>IHHQQI', 0x25609513, flags, kind, 1, offset, length) + payload)

    def call(self, *request):
        self.send(*request)
        assert struct.unpack('>IIQ', self.take(16)) == (0x67446698, 0, 1), request


def io(uri, *commands, code=0, options=()):
    """qemu-io as a client. It tells failures of commands on standard output."""
    argv = ['qemu-io', '-f', 'raw', *options, uri]
    for command in commands:
        argv += ['-c', command]
    return run(*argv, code=code).stdout


def make_certificates(folder, host='localhost', more=''):
    """An authority, and one key for both ends, which each end has its own certificate of."""
    os.mkdir(folder)
    for name in ('ca-key', 'server-key'):
        run('certtool', '-p', '--outfile', f'{folder}/{name}.pem')
    shutil.copy(f'{folder}/server-key.pem', f'{folder}/client-key.pem')
    for name, text in (('ca', 'cn = "authority"\nca\ncert_signing_key\n'),
                       ('server', f'cn = "{host}"\ndns_name = "{host}"\ntls_www_server\nsigning_key\n{more}'),
                       ('client', 'cn = "client"\ntls_www_client\nsigning_key\n')):
        with open('template', 'w', encoding='ascii') as f:
            f.write(text)
        argv = ['--load-privkey', f'{folder}/{name}-key.pem', '--template', 'template', '--outfile', f'{folder}/{name}-cert.pem']
        if name == 'ca':
            run('certtool', '-s', *argv)
        else:
            run('certtool', '-c', *argv, '--load-ca-certificate', f'{folder}/ca-cert.pem',
                '--load-ca-privkey', f'{folder}/ca-key.pem')


def make_disk(path, size, rng=None):
    """A sparse raw disk with scattered data."""
    rng = rng or random.Random(SEED)
    with open(path, 'wb') as f:
        for _ in range(30):
            f.seek(rng.randrange(0, size - 200000, 512))
            f.write(rng.randbytes(rng.randrange(1, 200000)))
        f.truncate(size)


def content(path):
    with open(path, 'rb') as f:
        return f.read()
