/* SPDX-License-Identifier: MIT */
/* ACPI in the kernel: the service of <mortise/draft/acpi.h>, for host.c. */
#ifndef KERNEL_ACPI_ACPI_H
#define KERNEL_ACPI_ACPI_H

#include <mortise/draft/acpi.h>

extern const struct mt_acpi_host acpi_host;                /* MT_IFACE_ACPI_HOST */

#endif
