# SPDX-License-Identifier: MIT
# Linux, and a host CPU with a part of its own.
MORTISE_PLUGIN([cpu-kvm], [`case $host in x86_64-*-linux*) echo yes ;; *) echo no ;; esac`],
  [(needs Linux on x86-64)])
