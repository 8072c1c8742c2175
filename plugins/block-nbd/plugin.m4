# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([block-nbd], [LIBNBD], [libnbd >= 1.14], [libnbd-dev])
