/* SPDX-License-Identifier: MIT */
/*
 * Images that no section of a machine file names: backing disks by the names in images, and what `mortise img` opens.
 * An instance is made for each, of the class that serves its format; it is in no list of the machine's, and whoever
 * opened it closes it. [main].
 */
#ifndef KERNEL_BLOCK_OPEN_H
#define KERNEL_BLOCK_OPEN_H

#include "kernel/block/node.h"
#include "kernel/machine/machine.h"

struct open_spec {
	const char *path;
	const char *format;              /* NULL: by its looks; never raw */
	struct file_options options;
	const struct name_rule *rule;    /* of the image above, for the names in this one too */
	struct bnode *above;             /* NULL: the user names it */
	const char *parts_folder;        /* where its extents lie; NULL: in its folder */
	const char *names_folder;        /* where names of backing disks start; NULL: in its folder */
	bool backing_off, backing_write;
	bool below_any;                  /* images are opened over disks that are not those which they were made of; */
	bool deeper_any;                 /* those below this one are */
	char **known;                    /* real paths of images below, which the rule need not allow; NULL: the rule's */
	unsigned rank;                   /* of the instance's lock, where none is above; 0: any */
	const char *through;             /* id of a filter before its files; NULL: none */
};

/* A realized instance whose node can be used; NULL with `err`. */
struct mt_inst *open_inst(struct machine *m, const struct open_spec *spec, struct mt_error *err);
/*
 * A filter for `through`: of the class `name` ("block-" may be left out), with the properties in `words`, each
 * "key=value", over `child` (an id; NULL: none). It goes into the machine's list of instances; whoever opened it takes
 * it out again and closes it. NULL with `err`.
 */
struct mt_inst *open_filter(struct machine *m, const char *name, char *const *words, const char *child,
			    struct mt_error *err);
/* Handles are gone. What was written is flushed before. */
void open_close(struct mt_inst *inst);
/* The same of the image of an instance that stays, without a plugin's part. */
void open_hollow(struct mt_inst *inst);

/* It is the URI of a disk, not a path. */
bool open_is_uri(const char *path);

/* The class that serves a format, and its plugin; NULL with `err`. */
const struct note_class *open_format(struct machine *m, const char *format, const struct mt_plugin **plugin,
				     struct mt_error *err);
/* A role of the class that serves a format. NULL with `err`: there is no such format; without: it has no such role. */
const void *open_role(struct machine *m, const char *format, const char *iface_id, struct mt_error *err);
/* After the last of open_format and open_probe. */
void open_rest(struct machine *m);
/* The name of the first format that a class serves; g_free. */
char *open_format_name(const struct note_class *cls);
/* The format that a file looks like, or NULL: it may be raw, or anything. g_free. */
char *open_probe(struct machine *m, const struct open_spec *spec, struct mt_error *err);

/* Puts the image that it is about before the words of `err`, unless they have it already; `rc` where there are none. */
void open_blame(struct mt_error *err, int rc, const char *path);

/* graph.c: what open_inst knows of an instance that is being realized; NULL: it has a section. The node's own. */
struct borigin *open_origin(struct mt_inst *inst);

#endif
