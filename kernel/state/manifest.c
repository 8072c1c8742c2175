/* SPDX-License-Identifier: MIT */
/* The manifest, written and read; see manifest.h. */
#include "kernel/state/manifest.h"

#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config/json.h"
#include "kernel/machine/fault.h"
#include "kernel/monitor/json.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"

#define LIST_MAX 4096u                 /* entries of a list of the manifest */
#define SUM_LINE ",\n  \"crc32c\": "    /* begins the last member: the sum of all bytes before it */

static const char *const kind_names[] = { "kernel", "instance", "vcpu" };

/* Making. */

static void memory_free(void *arg)
{
	struct manifest_memory *memory = arg;

	g_free(memory->id);
	g_free(memory);
}

static void disk_free(void *arg)
{
	struct manifest_disk *disk = arg;

	g_free(disk->id);
	g_free(disk->key);
	g_free(disk->path);
	g_free(disk);
}

static void component_free(void *arg)
{
	struct manifest_component *component = arg;

	g_free(component->id);
	g_free(component->cls);
	g_free(component->plugin_version);
	g_free(component->schema);
	g_free(component);
}

struct manifest *manifest_create(void)
{
	struct manifest *man = g_new0(struct manifest, 1);

	man->mortise = g_strdup(PACKAGE_VERSION);
	man->memory = g_ptr_array_new_with_free_func(memory_free);
	man->disks = g_ptr_array_new_with_free_func(disk_free);
	man->components = g_ptr_array_new_with_free_func(component_free);
	return man;
}

void manifest_destroy(struct manifest *man)
{
	if (!man)
		return;
	g_free(man->mortise);
	g_ptr_array_unref(man->memory);
	g_ptr_array_unref(man->disks);
	g_ptr_array_unref(man->components);
	g_free(man);
}

struct manifest_memory *manifest_add_memory(struct manifest *man, const char *id)
{
	struct manifest_memory *memory = g_new0(struct manifest_memory, 1);

	memory->id = g_strdup(id);
	g_ptr_array_add(man->memory, memory);
	return memory;
}

struct manifest_disk *manifest_add_disk(struct manifest *man, const char *id, const char *key)
{
	struct manifest_disk *disk = g_new0(struct manifest_disk, 1);

	disk->id = g_strdup(id);
	disk->key = g_strdup(key);
	g_ptr_array_add(man->disks, disk);
	return disk;
}

struct manifest_component *manifest_add(struct manifest *man, enum manifest_kind kind, const char *id)
{
	struct manifest_component *component = g_new0(struct manifest_component, 1);

	component->kind = kind;
	component->id = g_strdup(id);
	g_ptr_array_add(man->components, component);
	return component;
}

const struct manifest_component *manifest_find(const struct manifest *man, enum manifest_kind kind, const char *id)
{
	for (unsigned i = 0; i < man->components->len; i++) {
		const struct manifest_component *component = g_ptr_array_index(man->components, i);

		if (component->kind == kind && !strcmp(component->id, id))
			return component;
	}
	return NULL;
}

char *manifest_component_file(enum manifest_kind kind, const char *id)
{
	return g_strdup_printf("%s-%s.state", kind_names[kind], id);
}

char *manifest_memory_file(const char *id)
{
	return g_strdup_printf("memory-%s.bin", id);
}

char *manifest_sums_file(const char *id)
{
	return g_strdup_printf("memory-%s.sums", id);
}

/* Writing. */

static void print_text(FILE *out, const char *name, const char *value)
{
	fprintf(out, ", \"%s\": ", name);
	json_print_string(out, value);
}

static void print_file(FILE *out, const char *name, const struct manifest_file *file)
{
	print_text(out, "file", name);
	fprintf(out, ", \"bytes\": %" G_GUINT64_FORMAT ", \"crc32c\": %u", file->bytes, file->crc);
}

static void print_component(FILE *out, const void *item)
{
	const struct manifest_component *component = item;
	char *name = manifest_component_file(component->kind, component->id);

	fprintf(out, "    {\"kind\": \"%s\"", kind_names[component->kind]);
	print_text(out, "id", component->id);
	print_text(out, "class", component->cls ? component->cls : "");
	print_text(out, "plugin-version", component->plugin_version ? component->plugin_version : "");
	print_text(out, "schema", component->schema);
	fprintf(out, ", \"version\": %u", component->version);
	print_file(out, name, &component->file);
	fputs("}", out);
	g_free(name);
}

static void print_number(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, ", \"%s\": %" G_GUINT64_FORMAT, name, value);
}

static void print_memory(FILE *out, const void *item)
{
	const struct manifest_memory *memory = item;
	char *name = manifest_memory_file(memory->id), *sums = manifest_sums_file(memory->id);

	fputs("    {\"id\": ", out);
	json_print_string(out, memory->id);
	print_number(out, "at", memory->gpa);
	print_text(out, "file", name);
	print_number(out, "bytes", memory->len_bytes);
	fputs(", \"sums\": {\"kind\": \"sums\"", out);
	print_file(out, sums, &memory->sums);
	fputs("}}", out);
	g_free(name);
	g_free(sums);
}

static void print_disk(FILE *out, const void *item)
{
	const struct manifest_disk *disk = item;

	fputs("    {\"id\": ", out);
	json_print_string(out, disk->id);
	print_text(out, "key", disk->key);
	print_text(out, "path", disk->path);
	print_number(out, "bytes", disk->bytes);
	print_number(out, "device", disk->device);
	print_number(out, "inode", disk->inode);
	print_number(out, "mtime-ns", disk->mtime_ns);
	fputs("}", out);
}

static void print_list(FILE *out, const char *name, const GPtrArray *list, void (*print)(FILE *out, const void *item))
{
	fprintf(out, ",\n  \"%s\": [\n", name);
	for (unsigned i = 0; i < list->len; i++) {
		print(out, g_ptr_array_index(list, i));
		fputs(i + 1 < list->len ? ",\n" : "\n", out);
	}
	fputs("  ]", out);
}

static void print_all(const struct manifest *man, FILE *out)
{
	fprintf(out, "{\n  \"format\": %u", MANIFEST_FORMAT);
	fputs(",\n  \"mortise\": ", out);
	json_print_string(out, man->mortise);
	fprintf(out, ",\n  \"guest-ns\": %" G_GUINT64_FORMAT ",\n  \"vcpus\": %u", man->guest_ns, man->vcpus);
	fputs(",\n  \"machine\": {\"kind\": \"config\"", out);
	print_file(out, MANIFEST_MACHINE, &man->machine);
	fputs("}", out);
	print_list(out, "memory", man->memory, print_memory);
	print_list(out, "disks", man->disks, print_disk);
	print_list(out, "components", man->components, print_component);
}

void manifest_print(const struct manifest *man, FILE *out)
{
	char *text = NULL;
	size_t len_bytes = 0;
	FILE *all = open_memstream(&text, &len_bytes);

	if (!all)
		return;
	print_all(man, all);
	if (fclose(all) == 0)
		fprintf(out, "%s" SUM_LINE "%u\n}\n", text, crc32c(0, text, len_bytes));
	free(text);
}

/* Reading. */

static bool get_u64(const struct json *object, const char *name, uint64_t *out)
{
	return json_uint(json_get(object, name), out);
}

static bool get_u32(const struct json *object, const char *name, uint32_t *out)
{
	uint64_t value;

	if (!get_u64(object, name, &value) || value > UINT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

static const char *get_text(const struct json *object, const char *name)
{
	return json_text(json_get(object, name));
}

/* Whether an object has no members but those of `names`, which are separated by blanks. */
static bool only(const struct json *object, const char *names)
{
	char **known = g_strsplit(names, " ", -1);
	bool fine = object && object->type == JSON_OBJECT;

	for (unsigned i = 0; fine && i < object->names->len; i++)
		fine = g_strv_contains((const char *const *)known, g_ptr_array_index(object->names, i));
	g_strfreev(known);
	return fine;
}

/* Sections have such ids; numbers of vCPUs too. */
static bool id_legal(const char *id)
{
	return id && state_name_legal(id, strlen(id)) && id[0] != '.';
}

/* The file that it names is `name` (freed here), of a length and sum. */
static bool get_file(const struct json *object, char *name, struct manifest_file *file)
{
	const char *text = get_text(object, "file");
	bool fine = text && !strcmp(text, name) && get_u64(object, "bytes", &file->bytes) &&
		    file->bytes <= STATE_FILE_MAX && get_u32(object, "crc32c", &file->crc);

	g_free(name);
	return fine;
}

static bool parse_memory(struct manifest *man, const struct json *object)
{
	const char *id = get_text(object, "id"), *file = get_text(object, "file");
	struct manifest_memory *memory;
	char *name;
	bool fine;

	if (!id_legal(id))
		return false;
	memory = manifest_add_memory(man, id);
	name = manifest_memory_file(id);
	fine = file && !strcmp(file, name) && get_u64(object, "at", &memory->gpa) &&
	       get_u64(object, "bytes", &memory->len_bytes) && only(object, "id at file bytes sums");
	g_free(name);
	return fine && only(json_get(object, "sums"), "kind file bytes crc32c") &&
	       get_file(json_get(object, "sums"), manifest_sums_file(id), &memory->sums);
}

static bool parse_disk(struct manifest *man, const struct json *object)
{
	const char *id = get_text(object, "id"), *key = get_text(object, "key"), *path = get_text(object, "path");
	struct manifest_disk *disk;

	if (!id_legal(id) || !id_legal(key) || !path)
		return false;
	disk = manifest_add_disk(man, id, key);
	disk->path = g_strdup(path);
	return get_u64(object, "bytes", &disk->bytes) && get_u64(object, "device", &disk->device) &&
	       get_u64(object, "inode", &disk->inode) && get_u64(object, "mtime-ns", &disk->mtime_ns) &&
	       only(object, "id key path bytes device inode mtime-ns");
}

static bool parse_component(struct manifest *man, const struct json *object)
{
	const char *kind = get_text(object, "kind"), *id = get_text(object, "id");
	const char *cls = get_text(object, "class"), *plugin = get_text(object, "plugin-version");
	const char *schema = get_text(object, "schema");
	struct manifest_component *component;
	unsigned k = 0;

	while (kind && k < MANIFEST_KINDS && strcmp(kind, kind_names[k]))
		k++;
	if (!kind || k == MANIFEST_KINDS || !id_legal(id) || manifest_find(man, k, id) || !cls || !plugin ||
	    !schema || !state_name_legal(schema, strlen(schema)))
		return false;
	component = manifest_add(man, k, id);
	component->cls = g_strdup(cls);
	component->plugin_version = g_strdup(plugin);
	component->schema = g_strdup(schema);
	return only(object, "kind id class plugin-version schema version file bytes crc32c") &&
	       get_u32(object, "version", &component->version) && component->version &&
	       get_file(object, manifest_component_file(k, id), &component->file);
}

static bool parse_list(struct manifest *man, const struct json *list,
		       bool (*parse)(struct manifest *man, const struct json *object))
{
	if (!list || list->type != JSON_ARRAY || list->items->len > LIST_MAX)
		return false;
	for (unsigned i = 0; i < list->items->len; i++)
		if (!parse(man, g_ptr_array_index(list->items, i)))
			return false;
	return true;
}

/* After the format: another one may be summed otherwise. */
static bool sum_fits(const char *text, size_t len_bytes)
{
	const char *line = g_strrstr_len(text, (gssize)len_bytes, SUM_LINE);
	char *end;
	bool fits;

	if (!line)
		return false;
	end = g_strdup_printf(SUM_LINE "%u\n}\n", crc32c(0, text, (size_t)(line - text)));
	fits = strlen(end) == len_bytes - (size_t)(line - text) && !memcmp(line, end, strlen(end));
	g_free(end);
	return fits;
}

/* What is missing or wrong, or NULL. */
static const char *parse_all(struct manifest *man, const struct json *root, const char *text, size_t len_bytes)
{
	uint64_t format;

	if (!get_u64(root, "format", &format))
		return "it has no 'format'";
	if (format != MANIFEST_FORMAT)
		return "its format is of another version of mortise";
	if (!sum_fits(text, len_bytes))
		return "its checksum differs";
	if (!get_text(root, "mortise") || !get_u64(root, "guest-ns", &man->guest_ns) ||
	    !get_u32(root, "vcpus", &man->vcpus))
		return "'mortise', 'guest-ns' or 'vcpus' is missing";
	g_free(man->mortise);
	man->mortise = g_strdup(get_text(root, "mortise"));
	if (!only(root, "format mortise guest-ns vcpus machine memory disks components crc32c"))
		return "it has a member of a name that is not known";
	if (!only(json_get(root, "machine"), "kind file bytes crc32c") ||
	    !get_file(json_get(root, "machine"), g_strdup(MANIFEST_MACHINE), &man->machine))
		return "'machine' is wrong";
	if (!parse_list(man, json_get(root, "memory"), parse_memory))
		return "an entry of 'memory' is wrong";
	if (!parse_list(man, json_get(root, "disks"), parse_disk))
		return "an entry of 'disks' is wrong";
	return parse_list(man, json_get(root, "components"), parse_component) ? NULL :
	       "an entry of 'components' is wrong";
}

struct manifest *manifest_parse(const char *text, size_t len_bytes, struct mt_error *err)
{
	char error[JSON_ERROR_BYTES] = "";
	struct json *root = json_parse(text, len_bytes, error);
	struct manifest *man = manifest_create();
	const char *why = root ? parse_all(man, root, text, len_bytes) : error;

	json_free(root);
	if (!why)
		return man;
	fault_set(err, MT_EINVAL, MANIFEST_FILE, "the snapshot is damaged: take it again, or copy it again",
		  "%s cannot be read: %s", MANIFEST_FILE, why);
	manifest_destroy(man);
	return NULL;
}
