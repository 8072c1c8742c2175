/* SPDX-License-Identifier: MIT */
/* See boot-place.h. [main]. */
#include <lib/boot-place.h>

#include <stdbool.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define TREE_MAGIC      0xd00dfeedu
#define TREE_HEAD_BYTES 40u

typedef unsigned long long ull;

/* The plan */

void mt_boot_plan_init(struct mt_boot_plan *plan, uint64_t ram_gpa, uint64_t ram_bytes)
{
	memset(plan, 0, sizeof(*plan));
	plan->ram_gpa = ram_gpa;
	plan->ram_bytes = ram_bytes;
}

int mt_boot_claim(struct mt_boot_plan *plan, const char *key, const char *path, uint64_t gpa, uint64_t len_bytes,
		  struct mt_error *err)
{
	if (gpa < plan->ram_gpa || !mt_range_inside(gpa - plan->ram_gpa, len_bytes, plan->ram_bytes)) {
		mt_error_set(err, MT_ENOSPC, key, "%s: %llu bytes at 0x%llx do not fit into RAM, 0x%llx to 0x%llx", path,
			     (ull)len_bytes, (ull)gpa, (ull)plan->ram_gpa, (ull)(plan->ram_gpa + plan->ram_bytes - 1));
		mt_error_hint(err, "give the first [memory] section more RAM or another address");
		return MT_ENOSPC;
	}
	for (uint32_t i = 0; i < plan->claim_count; i++) {
		const struct mt_boot_claim *c = &plan->claims[i];

		if (!mt_ranges_overlap(c->gpa, c->len_bytes, gpa, len_bytes))
			continue;
		mt_error_set(err, MT_ENOSPC, key, "%s: %llu bytes at 0x%llx overlap the %s, %llu bytes at 0x%llx", path,
			     (ull)len_bytes, (ull)gpa, c->key, (ull)c->len_bytes, (ull)c->gpa);
		mt_error_hint(err, "give the first [memory] section more RAM, or use a smaller file");
		return MT_ENOSPC;
	}
	if (plan->claim_count == MT_BOOT_CLAIMS_MAX)
		return mt_error_set(err, MT_ENOSPC, key, "%s: too many parts to load", path);
	plan->claims[plan->claim_count++] = (struct mt_boot_claim){ key, gpa, len_bytes };
	return 0;
}

int mt_boot_claim_below(struct mt_boot_plan *plan, const char *key, const char *path, uint64_t end, uint64_t len_bytes,
			uint64_t align, uint64_t *gpa, struct mt_error *err)
{
	*gpa = plan->ram_gpa;
	if (end > plan->ram_gpa && len_bytes <= end - plan->ram_gpa)
		*gpa = mt_align_down_u64(end - len_bytes, align);
	return mt_boot_claim(plan, key, path, *gpa, len_bytes, err);
}

int mt_boot_claim_tree(struct mt_boot_plan *plan, uint64_t end, uint64_t *gpa, uint64_t *len_bytes,
		       struct mt_error *err)
{
	uint64_t ram = plan->ram_bytes, bytes = ram >= 32u << 20 ? 2u << 20 : ram >= 1u << 20 ? 256u << 10 : 64u << 10;

	*len_bytes = bytes;
	if (ram < bytes)
		return mt_error_set(err, MT_ENOSPC, "dtb", "%llu bytes of RAM have no room for the device tree", (ull)ram);
	return mt_boot_claim_below(plan, "dtb", "the device tree", end, bytes, bytes, gpa, err);
}

/* Kernels */

static bool begins(const uint8_t *head, uint64_t head_bytes, const char *magic, uint64_t len, uint64_t at)
{
	return mt_range_inside(at, len, head_bytes) && !memcmp(head + at, magic, len);
}

const char *mt_boot_packed(const uint8_t *head, uint64_t head_bytes)
{
	if (begins(head, head_bytes, "\x1f\x8b", 2, 0))
		return "compressed with gzip";
	if (begins(head, head_bytes, "\xfd" "7zXZ", 5, 0))
		return "compressed with xz";
	if (begins(head, head_bytes, "\x28\xb5\x2f\xfd", 4, 0))
		return "compressed with zstd";
	if (begins(head, head_bytes, "MZ", 2, 0) && begins(head, head_bytes, "zimg", 4, 4))
		return "a compressed EFI kernel";
	return NULL;
}

/* The tree */

int mt_boot_tree_check(const struct mt_boot_file *dtb, const struct mt_boot_file *initrd,
		       const struct mt_props_host *props, struct mt_inst *inst, struct mt_error *err)
{
	if (dtb->fd < 0 || (initrd->fd < 0 && !props->present(inst, "append")))
		return 0;
	mt_error_set(err, MT_EINVAL, "dtb", "%s is passed as it is: append and initrd would have no effect", dtb->path);
	mt_error_hint(err, "put bootargs into the tree's /chosen node, or leave dtb out");
	return MT_EINVAL;
}

static int room_check(const struct mt_boot_tree *tree, uint64_t len_bytes, const char *what, struct mt_error *err)
{
	if (len_bytes <= tree->room_bytes)
		return 0;
	return mt_error_set(err, MT_ENOSPC, "dtb", "%s: a device tree of %llu bytes; %llu at most fit", what, (ull)len_bytes,
			    (ull)tree->room_bytes);
}

static int head_check(const struct mt_boot_file *dtb, struct mt_error *err)
{
	uint8_t head[8];
	int rc;

	if (dtb->len_bytes < TREE_HEAD_BYTES)
		return mt_error_set(err, MT_EINVAL, dtb->key, "%s is too short for a device tree", dtb->path);
	rc = mt_boot_file_read(dtb, head, sizeof(head), 0, err);
	if (rc)
		return rc;
	if (mt_get_be32(head) != TREE_MAGIC || mt_get_be32(head + 4) > dtb->len_bytes)
		return mt_error_set(err, MT_EINVAL, dtb->key, "%s is no flattened device tree", dtb->path);
	return 0;
}

static int users_load(const struct mt_boot_tree *tree, struct mt_error *err)
{
	struct mt_boot_file *dtb = tree->dtb;
	int rc = mt_boot_file_measure(dtb, err);

	if (rc == 0)
		rc = room_check(tree, dtb->len_bytes, dtb->path, err);
	if (rc == 0)
		rc = head_check(dtb, err);
	return rc ? rc : mt_boot_file_load(dtb, tree->dma_host, tree->dma, 0, tree->gpa, dtb->len_bytes, err);
}

int mt_boot_tree_load(const struct mt_boot_tree *tree, struct mt_error *err)
{
	const void *blob;
	uint64_t len_bytes;
	int rc;

	if (tree->dtb->fd >= 0)
		return users_load(tree, err);
	rc = tree->host->fdt_build(tree->inst, tree->props->get_str(tree->inst, "append"), tree->initrd_gpa,
				   tree->initrd_bytes, &blob, &len_bytes, err);
	if (rc == 0)
		rc = room_check(tree, len_bytes, "this machine", err);
	if (rc == 0 && tree->dma_host->write(tree->dma, tree->gpa, blob, len_bytes) != MT_BUS_OK)
		return mt_error_set(err, MT_EIO, "dtb", "the device tree could not be written to RAM");
	return rc;
}
