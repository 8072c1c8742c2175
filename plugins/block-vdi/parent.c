/* SPDX-License-Identifier: MIT */
/*
 * The parent of a differencing image, which has two identifiers of it: one that a disk keeps, and one that changes when
 * it is written to. VirtualBox looks at the first when a disk is registered, and at the second nowhere: maintenance
 * changes it too. So another disk is refused, and one that was written to is told of. [main]
 */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include <util/block-parent.h>
#include <util/uuid.h>

#define FACT_MODIFY "modification-uuid"

/* Without a log, of an older host, nothing is told. */
static void check_modified(const struct node *n)
{
	char is[MT_UUID_TEXT], wanted[MT_UUID_TEXT], text[256];

	mt_uuid_text(vdi_parent_modify_uuid(&n->vdi), wanted);
	if (!n->log || n->host->backing_fact(n->inst, FACT_MODIFY, is, sizeof(is)) < 0 || strcmp(is, wanted) == 0)
		return;
	snprintf(text, sizeof(text), "the disk below was written to since this differencing image was made: its " FACT_MODIFY
		 " is %s, and was %s", is, wanted);
	n->log->message(n->inst, MT_LOG_WARN, text);
}

int parent_open(struct node *n, struct mt_error *err)
{
	char uuid[MT_UUID_TEXT];
	const struct mt_block_parent parent = {
		.what = "VDI", .differencing = vdi_has_parent(&n->vdi), .format = "vdi", .fact = "uuid", .wanted = { uuid },
	};
	int rc;

	mt_uuid_text(vdi_parent_uuid(&n->vdi), uuid);
	rc = mt_block_parent_open(n->host, n->inst, &parent, err);
	if (rc == 0 && parent.differencing)
		check_modified(n);
	return rc;
}

void parent_follow(struct node *n)
{
	char text[MT_UUID_TEXT];
	uint8_t uuid[MT_UUID_BYTES];

	if (vdi_has_parent(&n->vdi) && n->host->backing_fact(n->inst, FACT_MODIFY, text, sizeof(text)) == 0 &&
	    mt_uuid_parse(text, uuid))
		vdi_set_parent_modify_uuid(&n->vdi, uuid);
}
