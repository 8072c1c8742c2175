# SPDX-License-Identifier: MIT
"""What others than QEMU read in an image: 7-Zip, libqcow, libvmdk. Each reads what it knows, where it is installed."""
import functools
import json
import shutil
import subprocess
import sys

CODE = '''
import sys
name, path = sys.argv[1:]
module = __import__(name)
disk = module.handle() if hasattr(module, 'handle') else module.file()
disk.open(path)
if name == 'pyvmdk':
    disk.open_extent_data_files()
left = disk.get_media_size()
while left:
    data = disk.read_buffer(min(left, 1 << 20))
    sys.stdout.buffer.write(data)
    left -= len(data)
'''
MODULES = {'qcow2': 'pyqcow', 'vmdk': 'pyvmdk'}


@functools.lru_cache
def python_with(module):
    """A Python that has the module: Debian's has it for its own Python alone."""
    for python in (sys.executable, '/usr/bin/python3'):
        if shutil.which(python) and subprocess.run([python, '-c', 'import ' + module], capture_output=True, check=False).returncode == 0:
            return python
    return None


def output(*argv):
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    if done.returncode:
        sys.exit(f'{" ".join(argv[:2])}: {done.stderr.decode(errors="replace")[-500:]}')
    return done.stdout


def library(fmt, path, disk):
    """libqcow (20201213) gives what lies in the file where version 3 says that a cluster with a place reads as zeros."""
    module = MODULES[fmt]
    found = bytearray(output(python_with(module), '-c', CODE, module, path))
    if fmt == 'qcow2':
        for part in json.loads(output('qemu-img', 'map', '--output=json', '-f', fmt, path)):
            if part['zero'] and 'offset' in part:
                start, end = part['start'], part['start'] + part['length']
                found[start:end] = disk[start:end]
    return found


def seven_zip(fmt, path, _disk):
    """7-Zip (22.01) takes the flag of a cluster of zeros for one more byte of its place: that byte it gets."""
    if fmt == 'qcow2':
        shutil.copyfile(path, 'longer')
        path = 'longer'
        with open(path, 'ab') as f:
            f.write(b'\0')
    return output('7zz', 'x', '-so', path)


def others(fmt, options):
    """[(name, what reads (format, path, the disk that is there))] for images of this form without a backing file."""
    found = []
    if fmt == 'raw' or 'zstd' in options or 'extended' in options:
        return found
    if fmt in MODULES and python_with(MODULES[fmt]):
        found.append((MODULES[fmt], library))
    if shutil.which('7zz') and 'Flat' not in options:
        found.append(('7-Zip', seven_zip))
    return found
