/* SPDX-License-Identifier: MIT */
/*
 * Content identifiers: a disk has another CID once it was written to, and a delta disk has that of the parent which it
 * was made of, so that a parent that has changed is known. They are changed in place, digit by digit, in the text.
 */
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <util/error.h>

/* The pages with the digits of the CID stay, so that the first write need not wait. */
int cid_open(struct node *n, struct mt_error *err)
{
	uint64_t from = n->text_offset + n->text.cid_at, to = from + n->text.cid_digits;

	if (n->readonly || !n->text.cid_digits || node_stream(n))
		return 0;              /* a stream never changes what it has, and was another disk to nobody yet */
	n->text_cache = n->children[0].cache;
	if (!n->text_cache)
		n->text_cache = n->cache->create(n->inst, 0, VMDK_PAGE, CACHE_BYTES_MIN, 0, err);
	if (!n->text_cache)
		return err && err->code ? err->code : MT_ENOMEM;
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t page = from / VMDK_PAGE * VMDK_PAGE + i * VMDK_PAGE;

		if (page >= to)
			break;
		if (n->cache->get(n->text_cache, page, MT_BLOCK_PAGE_WAIT, &n->cid_pages[i]) < 0)
			return mt_error_set(err, MT_EIO, "file", "cannot read the VMDK descriptor");
	}
	return 0;
}

void cid_close(struct node *n)
{
	for (uint32_t i = 0; i < 2; i++) {
		if (n->cid_pages[i])
			n->cache->put(n->text_cache, n->cid_pages[i]);
		n->cid_pages[i] = NULL;
	}
}

void cid_stamp(struct node *n)
{
	char digits[9] = "";
	uint8_t random[8];

	if (n->stamped || !n->cid_pages[0] || getrandom(random, sizeof(random), 0) != sizeof(random))
		return;
	n->stamped = 1;
	for (uint32_t i = 0; i < n->text.cid_digits; i++) {
		uint64_t at = n->text_offset + n->text.cid_at + i;
		struct mt_block_page *page = n->cid_pages[at / VMDK_PAGE != n->cid_pages[0]->offset / VMDK_PAGE];

		/* never all f, which says that there is no parent; never 0 */
		digits[i] = "123456789abcde"[random[i] % 14];
		page->data[at % VMDK_PAGE] = (uint8_t)digits[i];
		n->cache->dirty(n->text_cache, page, (uint32_t)(at % VMDK_PAGE), 1, 0);
	}
	n->text.cid = (uint32_t)strtoul(digits, NULL, 16);
}

/* The parent's; 0: it has none that is known. */
static int parent_cid(const struct node *n, uint32_t *cid)
{
	char text[24];

	if (n->host->backing_fact(n->inst, "cid", text, sizeof(text)) < 0)
		return 0;
	*cid = (uint32_t)strtoul(text, NULL, 10);
	return 1;
}

int cid_check_parent(const struct node *n, struct mt_error *err)
{
	uint32_t cid;

	if (!parent_cid(n, &cid) || cid == n->text.parent_cid)
		return 0;
	mt_error_set(err, MT_EINVAL, "backing", "the disk below was written to since this delta disk was made, or is another "
		     "one: its CID is %08" PRIx32 ", and wanted is %08" PRIx32, cid, n->text.parent_cid);
	mt_error_hint(err, "if it is the right one all the same: mortise img amend -f vmdk -o parent_cid=%08" PRIx32, cid);
	return MT_EINVAL;
}

static int32_t digit_put(struct node *n, uint64_t at, char digit)
{
	struct mt_block_page *page;
	int32_t rc = n->cache->get(n->text_cache, at / VMDK_PAGE * VMDK_PAGE, MT_BLOCK_PAGE_WAIT, &page);

	if (rc < 0)
		return rc;
	page->data[at % VMDK_PAGE] = (uint8_t)digit;
	n->cache->dirty(n->text_cache, page, (uint32_t)(at % VMDK_PAGE), 1, 0);
	n->cache->put(n->text_cache, page);
	return 0;
}

int32_t cid_set_parent(struct node *n, uint32_t cid, struct mt_error *err)
{
	uint64_t at = n->text_offset + n->text.parent_cid_at;
	char digits[12];
	int32_t rc = 0;

	snprintf(digits, sizeof(digits), "%0*" PRIx32, (int)n->text.parent_cid_digits, cid);
	if (n->readonly || !n->text_cache)
		return mt_error_set(err, MT_EPERM, NULL, "the image can only be read");
	if (!n->vmdk.parent || cid == VMDK_NO_PARENT)
		return mt_error_set(err, MT_EINVAL, "parent_cid", n->vmdk.parent ? "no disk has this CID" :
				    "this VMDK disk has no parent");
	if (strlen(digits) != n->text.parent_cid_digits)
		return mt_error_set(err, MT_ERANGE, "parent_cid", "the descriptor has room for %u digits only",
				    n->text.parent_cid_digits);
	for (uint32_t i = 0; rc == 0 && i < n->text.parent_cid_digits; i++)
		rc = digit_put(n, at + i, digits[i]);
	if (rc < 0)
		return mt_error_set(err, rc, "file", "the VMDK descriptor cannot be changed");
	n->text.parent_cid = cid;
	return 0;
}

int32_t cid_follow_parent(struct node *n, struct mt_error *err)
{
	uint32_t cid;

	return parent_cid(n, &cid) && cid != n->text.parent_cid ? cid_set_parent(n, cid, err) : 0;
}
