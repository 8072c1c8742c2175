# SPDX-License-Identifier: MIT
# Linux, and a host CPU with a part of its own.
AM_CONDITIONAL([KVM_X86_64], [test "$host_cpu" = x86_64])
AM_CONDITIONAL([KVM_RISCV64], [test "$host_cpu" = riscv64])
AM_CONDITIONAL([KVM_ARM64], [test "$host_cpu" = aarch64])
MORTISE_PLUGIN([cpu-kvm], [`case $host in x86_64-*-linux*|riscv64-*-linux*|aarch64-*-linux*) echo yes ;; *) echo no ;; esac`],
  [(needs Linux on x86-64, riscv64 or arm64)])
