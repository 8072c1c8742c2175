/* SPDX-License-Identifier: MIT */
/* See one_reg.h. Numbers hold their size: Documentation/virt/kvm/api.rst, 4.68. */
#include "one_reg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t one_reg_bytes(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static int move(const struct kvm_vcpu *v, unsigned long request, uint64_t id, const void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };
	int code = vcpu_ioctl(v, request, &reg);

	return code < 0 ? code : 0;
}

int one_reg_get(const struct kvm_vcpu *v, uint64_t id, uint64_t *value)
{
	uint64_t whole = 0;
	int code = one_reg_bytes(id) > sizeof(whole) ? -EINVAL : move(v, KVM_GET_ONE_REG, id, &whole);

	if (code == 0)
		*value = whole;
	return code;
}

int one_reg_set(const struct kvm_vcpu *v, uint64_t id, uint64_t value)
{
	return one_reg_bytes(id) > sizeof(value) ? -EINVAL : move(v, KVM_SET_ONE_REG, id, &value);
}

/* The list */

/* As long as KVM says that it is; -ENOTTY: a kernel that does not list. NULL with *error. */
static struct kvm_reg_list *list_get(const struct kvm_vcpu *v, int *error)
{
	struct kvm_reg_list head = { .n = 0 }, *list;
	int code = vcpu_ioctl(v, KVM_GET_REG_LIST, &head);

	*error = code < 0 && code != -E2BIG ? code : head.n > ONE_REGS_MAX ? -E2BIG : 0;
	if (*error)
		return NULL;
	list = calloc(1, sizeof(*list) + head.n * sizeof(list->reg[0]));
	*error = list ? 0 : -ENOMEM;
	if (!list)
		return NULL;
	list->n = head.n;
	code = vcpu_ioctl(v, KVM_GET_REG_LIST, list);
	*error = code < 0 ? code : 0;
	if (code >= 0)
		return list;
	free(list);
	return NULL;
}

int one_regs_learn(const struct kvm_vcpu *v, bool (*is_wanted)(uint64_t id), struct one_regs *regs)
{
	int error;
	struct kvm_reg_list *list = list_get(v, &error);

	if (!list)
		return error;
	memset(regs, 0, sizeof(*regs));
	regs->id = calloc(list->n + 1, sizeof(regs->id[0]));
	for (uint64_t i = 0; regs->id && i < list->n; i++) {
		if ((is_wanted && !is_wanted(list->reg[i])) || one_reg_bytes(list->reg[i]) > ONE_REG_BYTES_MAX)
			continue;
		regs->id[regs->count++] = list->reg[i];
		regs->bytes += one_reg_bytes(list->reg[i]);
	}
	free(list);
	return regs->id ? 0 : -ENOMEM;
}

void one_regs_forget(struct one_regs *regs)
{
	free(regs->id);
	memset(regs, 0, sizeof(*regs));
}

/* All of them */

int one_regs_read(const struct kvm_vcpu *v, const struct one_regs *regs, uint8_t *values, uint64_t *failed)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < regs->count; i++) {
		*failed = regs->id[i];
		code = move(v, KVM_GET_ONE_REG, regs->id[i], values);
		values += one_reg_bytes(regs->id[i]);
	}
	return code;
}

static bool has_already(const struct kvm_vcpu *v, uint64_t id, const uint8_t *value)
{
	uint8_t now[ONE_REG_BYTES_MAX] = { 0 };

	return move(v, KVM_GET_ONE_REG, id, now) == 0 && !memcmp(now, value, one_reg_bytes(id));
}

int one_regs_write(const struct kvm_vcpu *v, const struct one_regs *regs, const uint8_t *values,
		   bool (*is_kept)(uint64_t id), uint64_t *failed)
{
	for (uint32_t i = 0; i < regs->count; i++) {
		uint64_t id = regs->id[i];
		int code = is_kept && is_kept(id) ? 0 : move(v, KVM_SET_ONE_REG, id, values);

		if (code < 0 && !has_already(v, id, values)) {
			*failed = id;
			return code;
		}
		values += one_reg_bytes(id);
	}
	return 0;
}

uint8_t *one_regs_place(const struct one_regs *regs, uint8_t *values, uint64_t id)
{
	for (uint32_t i = 0; i < regs->count; i++) {
		if (regs->id[i] == id)
			return values;
		values += one_reg_bytes(regs->id[i]);
	}
	return NULL;
}

/* Saved state */

void one_regs_save(const struct one_regs *regs, const uint8_t *values, struct mt_state_out *out,
		   const struct mt_state_writer *w)
{
	w->put(out, "reg.number", MT_STATE_U64, 0, regs->id, regs->count);
	w->put(out, "reg.value", MT_STATE_BYTES, 0, values, (uint32_t)regs->bytes);
}

static int lists_load(const struct one_regs *regs, uint8_t *values, struct mt_state_in *in,
		      const struct mt_state_reader *r, const uint64_t *id, uint32_t count, const uint8_t *value)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *place = one_regs_place(regs, values, id[i]);

		if (!place)
			return r->refuse(in, "reg.number", "has one that the CPU of this host lacks");
		memcpy(place, value, one_reg_bytes(id[i]));
		value += one_reg_bytes(id[i]);
	}
	return 0;
}

int one_regs_load(const struct one_regs *regs, uint8_t *values, struct mt_state_in *in,
		  const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0, bytes = 0;
	uint64_t *id = calloc(ONE_REGS_MAX, sizeof(*id)), sum = 0;
	uint8_t *value = NULL;
	int code = id ? 0 : MT_ENOMEM;

	r->find(in, "reg.number", &type, &count);
	r->find(in, "reg.value", &type, &bytes);
	if (code == 0 && count > ONE_REGS_MAX)
		code = r->refuse(in, "reg.number", "is longer than any CPU's list");
	if (code == 0)
		code = r->get(in, "reg.number", MT_STATE_U64, id, count);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		sum += one_reg_bytes(id[i]);
	if (code == 0 && (sum != bytes || sum > regs->bytes))
		code = r->refuse(in, "reg.value", "is not as long as its registers");
	value = malloc(sum + 1);
	if (code == 0)
		code = value ? r->get(in, "reg.value", MT_STATE_BYTES, value, bytes) : MT_ENOMEM;
	if (code == 0)
		code = lists_load(regs, values, in, r, id, count, value);
	free(value);
	free(id);
	return code;
}
