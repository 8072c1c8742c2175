/* SPDX-License-Identifier: MIT */
/*
 * mortise.msi-host/1: what a bus or controller learns of the target that its messages go to. [main], but for `eoi`,
 * which reads without a lock what was written before the machine ran.
 */
#include "kernel/machine/fault.h"
#include "kernel/machine/irq.h"
#include "kernel/machine/space.h"

struct eoi_listener {
	struct eoi_listener *next;
	struct mt_inst *target;
	void (*ended)(void *arg, uint32_t vector);
	void *arg;
};

static const struct mt_msi_target *target_role(struct mt_inst *inst, const char *prop, struct mt_inst **target,
					       struct mt_error *err)
{
	const struct mt_msi_target *role = NULL;

	*target = inst_ref(inst, prop);
	if (!*target)
		fault_set(err, MT_ENOENT, prop, NULL, "'%s' is missing", prop);
	else
		role = inst_role(*target, MT_IFACE_MSI_TARGET);
	if (*target && !role)
		fault_set(err, MT_EINVAL, prop, NULL, "%s takes no messages", (*target)->id);
	return role;
}

static int msi_window(struct mt_inst *inst, const char *prop, struct mt_msi_window *out, struct mt_error *err)
{
	struct mt_msi_window window = { .size = sizeof(window) };
	struct mt_inst *target;
	const struct mt_msi_target *role = target_role(inst, prop, &target, err);
	int code;

	if (!role)
		return target ? MT_EINVAL : MT_ENOENT;
	code = role->window(target->self, &window);
	if (code < 0)
		return fault_set(err, code, prop, NULL, "%s does not say where its messages go", target->id);
	window.size = MIN(out->size, (uint32_t)sizeof(window));
	memcpy(out, &window, window.size);
	return 0;
}

static void listener_release(void *arg)
{
	struct eoi_listener *l = arg, **link = &l->target->eoi_listeners;

	while (*link != l)
		link = &(*link)->next;
	*link = l->next;
	g_free(l);
}

static int eoi_listen(struct mt_inst *inst, const char *prop, void (*ended)(void *arg, uint32_t vector), void *arg,
		      struct mt_error *err)
{
	struct mt_inst *target;
	struct eoi_listener *l;

	if (!target_role(inst, prop, &target, err))
		return target ? MT_EINVAL : MT_ENOENT;
	l = g_new(struct eoi_listener, 1);
	*l = (struct eoi_listener){ target->eoi_listeners, target, ended, arg };
	target->eoi_listeners = l;
	inst_own(inst, listener_release, l);
	return 0;
}

/* A level that is still up comes back at once, while the vCPU is in the target's register that it ended it by. */
static void eoi(struct mt_inst *target, uint32_t vector)
{
	const void *was = bus_step_out(target);

	for (const struct eoi_listener *l = target->eoi_listeners; l; l = l->next)
		l->ended(l->arg, vector);
	bus_step_in(was);
}

const struct mt_msi_host msi_host = { .window = msi_window, .eoi_listen = eoi_listen, .eoi = eoi };
