/* SPDX-License-Identifier: MIT */
/* What names in images may reach; see names.h. The open itself is file.c's, by openat2. */
#include "kernel/block/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/block/node.h"
#include "kernel/machine/fault.h"

#define NAME_BYTES_MAX 1023u
#define SHOWN "%.160s"

void names_rule_init(struct name_rule *rule, const char *path, const char *const *allow, bool own)
{
	char *base = g_path_get_basename(path), *dot = strrchr(base, '.'), *full = g_canonicalize_filename(path, NULL);

	*rule = (struct name_rule){ .folder = g_path_get_dirname(full), .own = own,
				    .allow = g_strdupv((char **)allow) };
	rule->stem = dot && dot != base ? g_strndup(base, (gsize)(dot - base)) : g_strdup(base);
	for (int i = 0; rule->allow && rule->allow[i]; i++) {
		char *folder = g_canonicalize_filename(rule->allow[i], NULL);

		g_free(rule->allow[i]);
		rule->allow[i] = folder;
	}
	g_free(full);
	g_free(base);
}

void names_rule_copy(struct name_rule *to, const struct name_rule *from, const char *path)
{
	names_rule_init(to, path, (const char *const *)from->allow, from->own);
	to->known = g_strdupv(from->known);
}

void names_rule_fini(struct name_rule *rule)
{
	g_free(rule->folder);
	g_free(rule->parts_folder);
	g_free(rule->stem);
	g_strfreev(rule->known);
	g_strfreev(rule->allow);
	*rule = (struct name_rule){ 0 };
}

void names_found_fini(struct name_found *found)
{
	g_free(found->folder);
	g_free(found->path);
	*found = (struct name_found){ 0 };
}

static int refuse(const struct bnode *node, const char *name, const char *hint, const char *why, struct mt_error *err)
{
	return fault_set(err, MT_EPERM, "allow", hint, "%s names '" SHOWN "', %s", node_name(node), name, why);
}

/* "json:", "nbd://", "C:": what other programs take for more than a file name. */
static bool has_protocol(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	return n && name[n] == ':';
}

static bool has_control(const char *name)
{
	for (; *name; name++) {
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return true;
	}
	return false;
}

/* The path below `folder`, or NULL. */
static const char *beneath(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	if (n == 1)
		return path + 1;           /* the root folder was allowed */
	return !strncmp(path, folder, n) && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static bool of_system(const char *path)
{
	return beneath(path, "/proc") || beneath(path, "/dev") || beneath(path, "/sys");
}

/* An extent that the image's own folder has is the image's by its name: "disk-flat.vmdk" of "disk.vmdk". */
static bool own_part(const struct name_rule *rule, const char *rest)
{
	size_t n = strlen(rule->stem);

	return !strncmp(rest, rule->stem, n) && !strchr(rest, '/') && !g_ascii_isalnum(rest[n]);
}

static bool own_folder(const struct name_rule *rule, const char *folder, const char *name, const char *path,
		       enum name_kind kind)
{
	const char *rest = beneath(path, folder);

	return rule->own && rest && !g_path_is_absolute(name) && (kind == NAME_BACKING || own_part(rule, rest));
}

/* Which allowed folder has it; the caller's to free, or NULL. */
static char *allowed_folder(const struct name_rule *rule, const char *name, const char *path, enum name_kind kind)
{
	const char *own = kind == NAME_PART && rule->parts_folder ? rule->parts_folder : rule->folder;

	if (own_folder(rule, own, name, path, kind))
		return g_strdup(own);
	if (kind == NAME_BACKING && rule->known && g_strv_contains((const char *const *)rule->known, path))
		return g_path_get_dirname(path);
	for (int i = 0; rule->allow && rule->allow[i]; i++) {
		if (beneath(path, rule->allow[i]))
			return g_strdup(rule->allow[i]);
	}
	return NULL;
}

static bool is_in_chain(const struct bnode *node, const struct stat *meta)
{
	for (; node; node = node->origin ? node->origin->above : NULL) {
		for (uint32_t i = 0; i < node->child_count; i++) {
			const struct file *file = node->children[i].file;

			if (file && file->host_device == meta->st_dev && file->host_inode == meta->st_ino)
				return true;
		}
	}
	return false;
}

/* Each step of the way is looked at without following it; the open later refuses links by itself. */
static int look_at(const struct bnode *node, const char *name, const struct name_found *found, struct mt_error *err)
{
	char *path = g_strdup(found->path), *end = path + (found->folder[1] ? strlen(found->folder) : 0);
	const char *why = NULL;
	struct stat meta;
	int rc = 0;

	do {
		end = strchrnul(end + 1, '/');
		char kept = *end;

		*end = '\0';
		if (lstat(path, &meta) < 0)
			rc = fault_set(err, MT_ENOENT, "file", NULL, "%s names '" SHOWN "': %s", node_name(node), name,
				       g_strerror(errno));
		else if (S_ISLNK(meta.st_mode))
			why = "which is reached by a symbolic link";
		*end = kept;
	} while (rc == 0 && !why && *end);
	if (rc == 0 && !why && !S_ISREG(meta.st_mode))
		why = "which is no regular file";
	if (rc == 0 && !why && is_in_chain(node, &meta))
		why = "which is the image itself, or one above it";
	g_free(path);
	return why ? refuse(node, name, NULL, why, err) : rc;
}

static uint32_t depth_of(const struct bnode *node)
{
	uint32_t depth = 0;

	for (; node; node = node->origin ? node->origin->above : NULL)
		depth++;
	return depth;
}

int names_find(const struct bnode *node, const char *name, enum name_kind kind, struct name_found *out,
	       struct mt_error *err)
{
	const struct name_rule *rule = &node->origin->rule;
	const char *start = kind == NAME_PART && rule->parts_folder ? rule->parts_folder : rule->folder;
	char *path;
	int rc;

	*out = (struct name_found){ 0 };
	if (!*name || strlen(name) > NAME_BYTES_MAX || has_control(name))
		return refuse(node, name, NULL, "which is no file name", err);
	if (has_protocol(name))
		return refuse(node, name, "convert the image where its source can be reached",
			      "which is no file of this host", err);
	if (depth_of(node) >= NAMES_DEPTH_MAX)
		return refuse(node, name, "shorten the chain: commit or convert images in its middle",
			      "but so many images that name one another are too many", err);
	path = g_canonicalize_filename(name, start);
	out->folder = of_system(path) ? NULL : allowed_folder(rule, name, path, kind);
	if (!out->folder) {
		rc = refuse(node, name, "name its folder with --allow-backing=DIR, or allow = DIR in a machine file, "
			    "if the image may have it", "which it is not allowed to name", err);
		g_free(path);
		return rc;
	}
	out->path = path;
	rc = look_at(node, name, out, err);
	if (rc < 0)
		names_found_fini(out);
	return rc;
}
