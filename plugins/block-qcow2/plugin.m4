# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([block-qcow2], [QCOW2], [zlib libzstd], [zlib1g-dev libzstd-dev])
