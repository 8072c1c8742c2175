/* SPDX-License-Identifier: MIT */
/* mortise.msi-host/1: what a bus or controller learns of the target that its messages go to. [main] */
#include "kernel/machine/fault.h"
#include "kernel/machine/irq.h"

static int msi_window(struct mt_inst *inst, const char *prop, struct mt_msi_window *out, struct mt_error *err)
{
	struct mt_inst *target = inst_ref(inst, prop);
	const struct mt_msi_target *role;
	struct mt_msi_window window = { .size = sizeof(window) };
	int code;

	if (!target)
		return fault_set(err, MT_ENOENT, prop, NULL, "'%s' is missing", prop);
	role = inst_role(target, MT_IFACE_MSI_TARGET);
	if (!role)
		return fault_set(err, MT_EINVAL, prop, NULL, "%s takes no messages", target->id);
	code = role->window(target->self, &window);
	if (code < 0)
		return fault_set(err, code, prop, NULL, "%s does not say where its messages go", target->id);
	window.size = MIN(out->size, (uint32_t)sizeof(window));
	memcpy(out, &window, window.size);
	return 0;
}

const struct mt_msi_host msi_host = { .window = msi_window };
