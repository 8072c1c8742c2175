# SPDX-License-Identifier: MIT
"""What the tests of mortise img share: running programs in a folder of their own, seeded data, qemu-img as the judge."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

MORTISE = os.path.abspath(os.environ.get('MORTISE', './mortise'))
SEED = int(os.environ.get('SEED', '20260101'))


def need(*programs):
    """Skips the test where a program is not there."""
    for program in programs:
        if not shutil.which(program):
            print(f'{program} is not installed')
            sys.exit(77)


def work_folder():
    """A new folder, which is the current one from now on, and goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix='mortise-img-')
    os.chdir(folder.name)
    return folder


def run(*argv, code=0, merged=False, **more):
    """Runs a program, whose exit code must be `code` (None: any). What it printed; `merged`: errors among it, in their order."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                          text=True, timeout=120, check=False, **more)
    if code is not None and done.returncode != code:
        sys.exit(f'{" ".join(map(str, argv))}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr or ""}')
    return done


def img(*argv, **more):
    return run(MORTISE, 'img', *argv, **more)


def qemu_img(*argv, **more):
    return run('qemu-img', *argv, **more)


def sound(fmt, path):
    """No corruption, as this program and QEMU see it; leaks go, and then there is nothing to say."""
    if fmt == 'raw':
        return
    told = json.loads(img('check', '--output=json', '-f', fmt, path, code=None).stdout)
    assert not told.get('corruptions') and not told['check-errors'], told
    theirs = qemu_img('check', '-f', fmt, path, code=None)
    # the header of VDI has a count of blocks: one more than there are is a leak, which QEMU has no word for
    assert theirs.returncode in (0, 3) or told.get('leaks') and 'blocks mismatch' in theirs.stderr, theirs.stdout + theirs.stderr
    img('check', '-q', '-r', 'leaks', '-f', fmt, path, code=None)
    for tool in (img, qemu_img):
        tool('check', '-q', '-f', fmt, path)


def same(a, a_format, b, b_format):
    qemu_img('compare', '-q', '-f', a_format, '-F', b_format, a, b)


def make_source(path, size, rng=None):
    """A sparse raw disk with scattered data: random, text, and runs of zeros that are written."""
    rng = rng or random.Random(SEED)
    with open(path, 'wb') as f:
        f.truncate(size)
        for _ in range(40):
            f.seek(rng.randrange(0, size - 200000, 512))
            kind, n = rng.randrange(3), rng.randrange(1, 200000)
            f.write(rng.randbytes(n) if kind == 0 else b'mortise ' * (n // 8) if kind == 1 else bytes(n))
        f.truncate(size)


def leftovers():
    """Folders that a command should have taken away."""
    return [name for name in os.listdir('.') if '.mortise-' in name]


def built(fmt):
    return os.path.exists(f'{os.path.dirname(MORTISE)}/plugins/block-{fmt}/.libs/block-{fmt}.so')


def need_formats(*names):
    """Skips the test where the plugin of a format is not built."""
    for name in names:
        if not built(name):
            print(f'block-{name} is not built')
            sys.exit(77)


def chosen(kinds):
    """(format, options, forms of that format) of those that the words of the command line choose, all without."""
    for fmt, options in kinds:
        if sys.argv[1:] and fmt not in sys.argv[1:]:
            continue
        if not built(fmt):
            print(f'{fmt} {options}: its plugin is not built')
            continue
        yield fmt, options, sum(f == fmt for f, _ in kinds)


def formats():
    """Those that are built and that qemu-img knows too."""
    return [f for f in ('raw', 'vdi', 'vmdk', 'qcow2') if built(f)]
