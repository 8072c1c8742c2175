# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([block-vmdk], [ZLIB], [zlib], [zlib1g-dev])
