/* SPDX-License-Identifier: MIT */
/*
 * Names of other files that stand in an image: backing disks, extents, data files. Whoever wrote the image chose
 * them, so each is held against the rule of that image before anything is opened, and what is opened then is beneath
 * a folder that the rule allows, with no symbolic link on the way. Easy to break: nothing here may open what a name
 * means, not even to look at it; a fifo, a device or a file of /proc has effects by being opened.
 */
#ifndef KERNEL_BLOCK_NAMES_H
#define KERNEL_BLOCK_NAMES_H

#include <mortise/error.h>
#include <stdbool.h>

struct bnode;

#define NAMES_DEPTH_MAX 48u              /* images that name one another */

struct name_rule {
	char *folder;                    /* absolute: where relative names of backing disks start */
	char *parts_folder;              /* the same for extents and data files; NULL: `folder` */
	char *stem;                      /* of the image's file name: an extent in its folder begins with it */
	char **allow;                    /* absolute folders, NULL-terminated; NULL: none */
	char **known;                    /* absolute: files that are allowed, as of the chain; NULL: none */
	bool own;                        /* the image's own folder is allowed */
};

struct name_found {
	char *folder, *path;             /* path = folder + "/" + ... */
};

enum name_kind { NAME_BACKING, NAME_PART };

/*
 * [main] What `name` in the image of `node` means. 0; MT_EPERM with the name in `err` when the rule refuses it;
 * MT_ENOENT when it is not there.
 */
int names_find(const struct bnode *node, const char *name, enum name_kind kind, struct name_found *out,
	       struct mt_error *err);
void names_found_fini(struct name_found *found);

/* [main] For the image at `path`. `allow` is copied. */
void names_rule_init(struct name_rule *rule, const char *path, const char *const *allow, bool own);
void names_rule_copy(struct name_rule *to, const struct name_rule *from, const char *path);
void names_rule_fini(struct name_rule *rule);

#endif
