// SPDX-License-Identifier: MIT
/*
 * mortise nbd: the command, with the options of qemu-nbd(8). [main]. Easy to break: the fork of --fork comes before the
 * first thread is made, so before there is a tool.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/img/img.h"
#include "kernel/machine/fault.h"
#include "kernel/nbd/proto.h"
#include "kernel/nbd/server.h"

#define DESCRIPTION_MAX 4000u            /* so that the answer to a list fits, with the name */

struct nbd {
	struct img img;
	struct nbd_export export;
	struct listener listener;
	struct nbd_creds *creds;
	struct image *image;
	int ready_fd;                    /* to the parent that waits; -1: none */
	char *pid_path;
};

/* What is wrong is found before the fork, and printed. */

static bool text_fits(const struct img *img, const char *option, size_t max)
{
	const char *text = cli_value(img->args, option);

	if (!text || (strlen(text) <= max && g_utf8_validate(text, -1, NULL)))
		return true;
	return img_fail("--%s: wanted: UTF-8, at most %zu bytes", option, max) == 0;
}

static bool places_agree(const struct img *img, bool activated)
{
	bool tcp = cli_value(img->args, "bind") || cli_value(img->args, "port");

	if (cli_value(img->args, "socket") && tcp)
		return img_fail("--socket and --bind or --port do not go together: it is one or the other") == 0;
	if (activated && (tcp || cli_value(img->args, "socket")))
		return img_fail("the sockets come from LISTEN_FDS: --socket, --bind and --port do not go with them") == 0;
	return true;
}

static bool options_fit(const struct img *img, bool activated)
{
	const char *engine = cli_value(img->args, "aio"), *discard = cli_value(img->args, "discard");
	enum file_cache cache;

	if (!text_fits(img, "export-name", NBD_STRING_MAX) || !text_fits(img, "description", DESCRIPTION_MAX) ||
	    !places_agree(img, activated))
		return false;
	if (cli_value(img->args, "cache") && !img_cache(cli_value(img->args, "cache"), &cache))
		return false;
	if (engine && strcmp(engine, "threads") && strcmp(engine, "io_uring") && strcmp(engine, "native"))
		return img_fail("'%s' is no engine; there are io_uring and threads", engine) == 0;
	if (discard && strcmp(discard, "ignore") && strcmp(discard, "off") && strcmp(discard, "unmap") &&
	    strcmp(discard, "on"))
		return img_fail("--discard: wanted: ignore or unmap") == 0;
	return true;
}

/* TLS: "tls-creds-psk,id=tls0,dir=/keys,endpoint=server" as QEMU has it. */

struct creds_words {
	struct nbd_creds_options options;
	const char *id, *endpoint;
};

static bool creds_word(struct creds_words *words, const char *key, const char *value)
{
	if (!strcmp(key, "id"))
		words->id = value;
	else if (!strcmp(key, "dir"))
		words->options.dir = value;
	else if (!strcmp(key, "priority"))
		words->options.priority = value;
	else if (!strcmp(key, "endpoint"))
		words->endpoint = value;
	else if (!strcmp(key, "verify-peer"))
		words->options.verify_peer = !strcmp(value, "yes") || !strcmp(value, "on") || !strcmp(value, "true");
	else
		return img_fail("--object: there is no '%s'", key) == 0;
	return true;
}

static bool creds_parse(char **parts, struct creds_words *words)
{
	*words = (struct creds_words){ .options = { .verify_peer = true }, .endpoint = "server" };
	words->options.psk = !strcmp(parts[0], "tls-creds-psk");
	if (!words->options.psk && strcmp(parts[0], "tls-creds-x509"))
		return img_fail("--object: '%s' is none; there are tls-creds-psk and tls-creds-x509", parts[0]) == 0;
	for (int i = 1; parts[i]; i++) {
		char *value = strchr(parts[i], '=');

		if (!value)
			return img_fail("--object: '%s' is no KEY=VALUE", parts[i]) == 0;
		*value++ = '\0';
		if (!creds_word(words, parts[i], value))
			return false;
	}
	if (!words->id || !words->options.dir)
		return img_fail("--object: id= and dir= are needed") == 0;
	return true;
}

/* The object that --tls-creds names; all of them must be legal. */
static bool creds_make(struct nbd *nbd)
{
	const char *const *objects = cli_values(nbd->img.args, "object");
	const char *wanted = cli_value(nbd->img.args, "tls-creds");
	struct creds_words words;
	bool ok = true;

	for (int i = 0; objects[i] && ok; i++) {
		char **parts = g_strsplit(objects[i], ",", -1);

		ok = parts[0] && creds_parse(parts, &words);
		if (ok && wanted && !strcmp(words.id, wanted)) {
			if (strcmp(words.endpoint, "server"))
				ok = img_fail("--object: %s is for the other end (endpoint=server is needed)", wanted) == 0;
			else if (!(nbd->creds = creds_load(&words.options, &nbd->img.err)))
				ok = img_fault(&nbd->img) == 0;
		}
		g_strfreev(parts);
	}
	if (ok && wanted && !nbd->creds)
		ok = img_fail("--tls-creds: no --object has id=%s", wanted) == 0;
	return ok;
}

/* The image */

static struct image_options image_options_of(const struct img *img)
{
	struct image_options options = img_open_options(img);
	const char *engine = cli_value(img->args, "aio"), *discard = cli_value(img->args, "discard");

	if (cli_value(img->args, "cache"))
		img_cache(cli_value(img->args, "cache"), &options.cache);
	if (cli_flag(img->args, "nocache"))
		options.cache = FILE_DIRECT;
	if (engine)
		options.engine = *engine == 't' ? FILE_ENGINE_THREADS : FILE_ENGINE_URING;
	options.no_discard = discard && (!strcmp(discard, "ignore") || !strcmp(discard, "off"));
	return options;
}

static bool image_ready(struct nbd *nbd)
{
	struct img *img = &nbd->img;
	const char *path = cli_operand(img->args, 0), *format = cli_value(img->args, "format");
	const char *snapshot = cli_value(img->args, "load-snapshot");
	struct image_options options = image_options_of(img);
	uint64_t offset;

	if (!img_number(img, "offset", 0, INT64_MAX, &offset))
		return false;
	nbd->export.readonly = cli_flag(img->args, "read-only") || snapshot;
	nbd->image = nbd->export.readonly ? img_open_read(img, path, format, &options) :
		     img_open_write(img, path, format, &options);
	if (!nbd->image || (snapshot && img_snapshot_show(nbd->image, snapshot, &nbd->img.err) < 0))
		return img_fault(img) == 0;
	if (offset > image_bytes(nbd->image))
		return img_fail("--offset: the disk has %" PRIu64 " bytes only", image_bytes(nbd->image)) == 0;
	nbd->export.offset = offset;
	nbd->export.len_bytes = image_bytes(nbd->image) - offset;
	return true;
}

static bool export_ready(struct nbd *nbd)
{
	const struct cli_args *args = nbd->img.args;
	const char *name = cli_value(args, "export-name"), *cache = cli_value(args, "cache");
	const struct mt_block_info *info = image_info(nbd->image);
	uint64_t shared, limit;

	if (!img_number(&nbd->img, "shared", 1, SERVER_CLIENTS_MAX, &shared) ||
	    !img_number(&nbd->img, "handshake-limit", 10, 86400, &limit))
		return false;
	nbd->export.node = nbd->image->node;
	nbd->export.name = name ? name : "";
	nbd->export.description = cli_value(args, "description");
	nbd->export.preferred_bytes = CLAMP(info->physical_bytes, 4096, NBD_PAYLOAD_MAX);
	nbd->export.trim = info->discard_bytes != 0;
	nbd->export.multi = shared != 1;
	nbd->export.depth = cli_flag(args, "allocation-depth");
	nbd->export.creds = nbd->creds;
	nbd->export.limit_seconds = (uint32_t)limit;
	nbd->export.sync = cache && (!strcmp(cache, "writethrough") || !strcmp(cache, "directsync"));
	return true;
}

/* Readiness */

static bool pid_write(struct nbd *nbd)
{
	const char *path = cli_value(nbd->img.args, "pid-file");
	char *text;
	GError *error = NULL;

	if (!path)
		return true;
	text = g_strdup_printf("%d\n", (int)getpid());
	nbd->pid_path = g_canonicalize_filename(path, NULL);
	g_file_set_contents(nbd->pid_path, text, -1, &error);
	g_free(text);
	if (!error)
		return true;
	img_fail("%s", error->message);
	g_error_free(error);
	g_clear_pointer(&nbd->pid_path, g_free);
	return false;
}

/* Nothing of the terminal or the folder is held from here on. */
static void let_go(struct nbd *nbd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
	if (chdir("/") < 0)
		return;                    /* it holds a folder, which does no harm */
	(void)!write(nbd->ready_fd, "", 1);
	close(nbd->ready_fd);
	nbd->ready_fd = -1;
}

static void tell_ready(struct nbd *nbd)
{
	char *uri = listen_uri(&nbd->listener, nbd->export.name, nbd->creds != NULL);

	if (nbd->ready_fd >= 0)
		let_go(nbd);
	else
		img_say(&nbd->img, "ready: %s", uri);
	fflush(stdout);
	g_free(uri);
}

static bool listen_ready(struct nbd *nbd, bool activated)
{
	const struct cli_args *args = nbd->img.args;
	const char *host = cli_value(args, "bind"), *port = cli_value(args, "port");
	struct listen_options options = { .socket_path = cli_value(args, "socket"), .host = host ? host : "127.0.0.1",
					  .port = port ? port : NBD_PORT, .activated = activated };

	return listen_open(&nbd->listener, &options, &nbd->img.err) || img_fault(&nbd->img) == 0;
}

static int serve(struct nbd *nbd, bool activated)
{
	struct nbd_server server = { .export = &nbd->export, .listener = &nbd->listener, .cancelled = img_cancelled,
				     .persistent = cli_flag(nbd->img.args, "persistent") };
	uint64_t shared = 1;
	int code = 1;

	if (!listen_ready(nbd, activated))
		return 1;
	img_signals_catch();
	img_number(&nbd->img, "shared", 1, SERVER_CLIENTS_MAX, &shared);
	server.shared = (uint32_t)shared;
	if (pid_write(nbd)) {
		tell_ready(nbd);
		code = server_run(&server, &nbd->img.err) < 0 ? img_fault(&nbd->img) : 0;
	}
	if (nbd->pid_path)
		unlink(nbd->pid_path);
	listen_close(&nbd->listener);
	return code;
}

static int run(struct nbd *nbd, bool activated)
{
	int code = 1;

	nbd->img.plugin_dirs = cli_plugin_dirs(nbd->img.args);
	nbd->img.registry = registry_create((const char *const *)nbd->img.plugin_dirs);
	nbd->img.tool = tool_create(nbd->img.registry, &nbd->img.err);
	if (!nbd->img.tool)
		img_fault(&nbd->img);
	else if (creds_make(nbd) && image_ready(nbd) && export_ready(nbd))
		code = serve(nbd, activated);
	if (image_close(nbd->image) < 0)
		code = img_fail("the last changes could not be written");
	creds_free(nbd->creds);
	if (nbd->img.tool)
		tool_destroy(nbd->img.tool);
	registry_destroy(nbd->img.registry);
	g_strfreev(nbd->img.plugin_dirs);
	g_free(nbd->pid_path);
	return code;
}

/* The parent ends when the child is ready, or has failed and said why. Returns in the child only. */
static bool fork_off(struct nbd *nbd)
{
	int pipe_fds[2];
	pid_t pid;
	char byte;

	fflush(NULL);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return img_fail("a process cannot be made: %s", g_strerror(errno)) == 0;
	if (pid > 0) {
		close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(pipe_fds[0]);
	setsid();
	nbd->ready_fd = pipe_fds[1];
	return true;
}

static const struct cli_option options[] = {
	{ 'p', "port", "PORT", "TCP port (10809); 0: any" },
	{ 'b', "bind", "HOST", "address to listen at (127.0.0.1)" },
	{ 'k', "socket", "PATH", "listen at a Unix socket" },
	{ 'e', "shared", "N", "serve N clients at a time (1); 0: as many as there come" },
	{ 't', "persistent", NULL, "go on after the last client has gone" },
	{ 'x', "export-name", "NAME", "name of the export (empty)" },
	{ 'D', "description", "TEXT", "what clients are told of it" },
	{ 'r', "read-only", NULL, "refuse writes" },
	{ 'l', "load-snapshot", "SNAPSHOT", "show an internal snapshot of the image, read-only" },
	{ 'o', "offset", "BYTES", "leave out so many bytes of the disk" },
	{ 'A', "allocation-depth", NULL, "offer the context qemu:allocation-depth" },
	{ 'n', "nocache", NULL, "the same as --cache none" },
	{ 0, "cache", "MODE", "writeback (default), writethrough, none, directsync, unsafe" },
	{ 0, "aio", "io_uring|threads", "how the host does the I/O" },
	{ 0, "discard", "unmap|ignore", "whether clients can give space back" },
	{ 0, "object", "tls-creds-psk|tls-creds-x509,...", "keys: id=ID,dir=DIR[,verify-peer=no][,priority=P]" },
	{ 0, "tls-creds", "ID", "clients must use TLS, with the keys of that object" },
	{ 0, "handshake-limit", "SECONDS", "a client that takes longer to begin is let go (10); 0: none is" },
	{ 0, "fork", NULL, "go to the background when it is ready" },
	{ 0, "pid-file", "PATH", "write the number of the process there" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

static int run_raw(int argc, char **argv)
{
	struct nbd nbd = { .img = { .err = { .size = sizeof(nbd.img.err) } }, .ready_fd = -1 };
	bool activated = listen_is_activated();
	int code;
	struct cli_args *args = cli_args_parse(&cli_verb_nbd, argc, argv, &code);

	if (!args)
		return code == CLI_OK ? code : 1;
	nbd.img.args = args;
	code = 1;
	if (options_fit(&nbd.img, activated) && (!cli_flag(args, "fork") || fork_off(&nbd)))
		code = run(&nbd, activated);
	cli_args_free(args);
	return code;
}

const struct cli_verb cli_verb_nbd = {
	.name = "nbd",
	.operands = "FILE",
	.summary = "export an image to NBD clients",
	.operands_min = 1,
	.operands_max = 1,
	.options = tables,
	.run_raw = run_raw,
};
