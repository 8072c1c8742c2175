/* SPDX-License-Identifier: MIT */
/*
 * Saved state of one interrupt file: schema "riscv-imsic". What is ready and the output follow from the rest. Called
 * under the file's lock.
 */
#include <util/state.h>

#include "imsic.h"

static const struct mt_state_field fields[] = {
	MT_STATE_RANGE(struct imsic_file, identities, 63, IMSIC_IDENTITIES_MAX),
	MT_STATE_VAR(struct imsic_file, delivery, 1),
	MT_STATE_VAR(struct imsic_file, threshold, IMSIC_IDENTITIES_MAX),
	MT_STATE_ARRAY(struct imsic_file, pending, UINT64_MAX),
	MT_STATE_ARRAY(struct imsic_file, enabled, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct imsic_file, fields);

void imsic_save(const struct imsic_file *f, struct mt_state_out *out, const struct mt_state_writer *w)
{
	mt_state_save(out, w, &table, f);
}

int imsic_load(struct imsic_file *f, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct imsic_file loaded = *f;
	int code = mt_state_load(in, r, &table, 1, &loaded);

	if (code)
		return code;
	if (loaded.identities != f->identities)
		return r->refuse(in, "identities", "is another number than this machine has");
	if (loaded.threshold > imsic_threshold_max(f))
		return r->refuse(in, "threshold", "is more than the register can hold");
	for (uint32_t word = 0; word < IMSIC_WORDS; word++) {
		if (loaded.pending[word] & ~imsic_word_mask(f, word))
			return r->refuse(in, "pending", "has bits of identities that are not there");
		if (loaded.enabled[word] & ~imsic_word_mask(f, word))
			return r->refuse(in, "enabled", "has bits of identities that are not there");
	}
	imsic_settle_all(&loaded);
	*f = loaded;
	return 0;
}
