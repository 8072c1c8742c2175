# SPDX-License-Identifier: MIT
MORTISE_PLUGIN_PKG([dev-net-user], [SLIRP], [slirp >= 4.7], [libslirp-dev])
