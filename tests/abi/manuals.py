#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The keys that a plugin's manual page documents under PROPERTIES are those of its note, no more and no fewer."""
import glob
import json
import os
import re
import subprocess
import sys

SRC = os.environ.get('TEST_SRCDIR', '.')
MORTISE = os.environ.get('MORTISE', './mortise')


def documented(page):
    """Names after .TP in the section PROPERTIES."""
    keys, inside, tagged = set(), False, False
    for line in open(page, encoding='utf-8'):
        if line.startswith('.SH'):
            inside = line.split(None, 1)[1].strip() == 'PROPERTIES'
        elif inside and tagged:
            # .BR offset ", " size " = SIZE": what stands outside of quotes, or before the "="
            names = re.sub(r'"[^"]*"', ' ', line) if re.match(r'\.B[RI]? [^"]', line) else line.split('=')[0]
            keys |= {n.replace('\\', '') for n in re.findall(r'[a-z][a-z0-9_\\-]*', names.split(None, 1)[1])}
        tagged = line.startswith('.TP')
    return keys


def noted(name):
    """Property names of the plugin's note, or None where the plugin is not built."""
    run = subprocess.run([MORTISE, 'describe', name, '--json'], capture_output=True, text=True)
    return {p['name'] for p in json.loads(run.stdout)['properties']} if run.returncode == 0 else None


def main():
    bad = checked = 0
    for page in sorted(glob.glob(SRC + '/plugins/*/mortise-*.7')):
        name = os.path.basename(page)[len('mortise-'):-len('.7')]
        want = noted(name)
        if want is None:
            print(f'{name}: not built, not checked')
            continue
        have = documented(page)
        checked += 1
        for key in sorted(want ^ have):
            bad = 1
            print(f'{page}: {key} is ' + ('not documented' if key in want else 'no property of the plugin'))
    print(f'manuals: {checked} checked')
    if not checked:
        print('no plugin with a manual page is built')
        sys.exit(77)
    sys.exit(bad)


main()
