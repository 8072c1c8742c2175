/* SPDX-License-Identifier: MIT */
/* A power button: a role of a device by which the guest can be asked to shut itself down. */
#ifndef MORTISE_POWER_H
#define MORTISE_POWER_H

#include "device.h"

#define MT_IFACE_POWER_BUTTON "mortise.power-button/1"

struct mt_power_button {
	/* [main] while the machine runs. Tells the guest that the button was pressed and let go; what it does then is its
	 * own affair. 0, or a negative code with `err` filled. */
	int (*press)(void *self, struct mt_error *err);
};

#endif
