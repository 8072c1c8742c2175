// SPDX-License-Identifier: MIT
/*
 * The folder of sockets. Easy to break: two processes may find the same dead socket at once, and the slower
 * must not remove what the faster has put in its place: looking, removing and binding happen under a lock
 * of the folder.
 */
#include "kernel/monitor/place.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/machine/fault.h"

#define SUFFIX ".sock"

static bool dir_is_own(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* Where the folder lies. XDG_RUNTIME_DIR is what the login gave; without it, what it would have given. */
static char *dir_name(void)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");
	char *usual = g_strdup_printf("/run/user/%u", (unsigned)geteuid()), *dir;

	if (runtime && *runtime == '/')
		dir = g_build_filename(runtime, "mortise", NULL);
	else if (dir_is_own(usual))
		dir = g_build_filename(usual, "mortise", NULL);
	else
		dir = g_strdup_printf("/tmp/mortise-%u", (unsigned)geteuid());
	g_free(usual);
	return dir;
}

char *place_dir(bool make, struct mt_error *err)
{
	char *dir = dir_name();
	struct stat st;

	if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
		fault_set(err, MT_EHOST, "socket", NULL, "cannot make %s: %s", dir, strerror(errno));
	else if (lstat(dir, &st) < 0)
		fault_set(err, MT_ENOENT, "socket", NULL, "%s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		fault_set(err, MT_EPERM, "socket", "remove it, or set XDG_RUNTIME_DIR",
			  "%s is no folder that only you can enter", dir);
	else
		return dir;
	g_free(dir);
	return NULL;
}

char *place_path(const char *dir, const char *name)
{
	char *file = g_strdup_printf("%s.%ld" SUFFIX, name, (long)getpid());
	char *path = g_build_filename(dir, file, NULL);

	g_free(file);
	return path;
}

static bool address(const char *path, struct sockaddr_un *un)
{
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	return g_strlcpy(un->sun_path, path, sizeof(un->sun_path)) < sizeof(un->sun_path);
}

int place_connect(const char *path)
{
	struct sockaddr_un un;
	int fd, error;

	if (!address(path, &un))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* Listening */

/* Removes a socket that nobody listens to. Under the folder's lock. */
static int make_way(const char *path, struct mt_error *err)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0 && lstat(path, &st) < 0)
		return 0;
	if (S_ISLNK(st.st_mode))
		return unlink(path);
	if (!S_ISSOCK(st.st_mode))
		return fault_set(err, MT_EBUSY, "socket", NULL, "%s is there and is no socket", path);
	fd = place_connect(path);
	if (fd == -ECONNREFUSED)
		return unlink(path);
	if (fd >= 0)
		close(fd);
	return fault_set(err, MT_EBUSY, "socket", NULL, "%s: another process listens there", path);
}

static int bind_at(const char *path, struct mt_error *err)
{
	struct sockaddr_un un;
	int fd;

	if (!address(path, &un))
		return fault_set(err, MT_EINVAL, "socket", NULL, "%s: a socket's path is at most %zu bytes long",
				 path, sizeof(un.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* the mode before the name is there: no moment in which others could connect */
	if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 &&
	    listen(fd, 16) == 0)
		return fd;
	fault_set(err, MT_EHOST, "socket", NULL, "cannot listen at %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return MT_EHOST;
}

int place_listen(const char *path, struct mt_error *err)
{
	char *dir = g_path_get_dirname(path);
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code;

	if (dir_fd < 0) {
		code = fault_set(err, MT_EHOST, "socket", NULL, "%s: %s", dir, strerror(errno));
	} else {
		flock(dir_fd, LOCK_EX);
		code = make_way(path, err);
		if (code == 0)
			code = bind_at(path, err);
		close(dir_fd);
	}
	g_free(dir);
	return code;
}

/* Listing */

static void machine_free(void *data)
{
	struct place_machine *m = data;

	g_free(m->name);
	g_free(m->path);
	g_free(m);
}

/* NAME.PID.sock */
static struct place_machine *machine_of(const char *dir, const char *file)
{
	size_t len = strlen(file);
	struct place_machine *m;
	const char *dot;
	guint64 pid;
	char *stem;

	if (len <= strlen(SUFFIX) || strcmp(file + len - strlen(SUFFIX), SUFFIX))
		return NULL;
	stem = g_strndup(file, len - strlen(SUFFIX));
	dot = strrchr(stem, '.');
	if (!dot || dot == stem || !g_ascii_string_to_unsigned(dot + 1, 10, 1, G_MAXINT32, &pid, NULL)) {
		g_free(stem);
		return NULL;
	}
	m = g_new0(struct place_machine, 1);
	m->name = g_strndup(stem, (size_t)(dot - stem));
	m->path = g_build_filename(dir, file, NULL);
	m->pid = (pid_t)pid;
	g_free(stem);
	return m;
}

static bool machine_runs(const struct place_machine *m)
{
	int fd = place_connect(m->path);

	if (fd >= 0)
		close(fd);
	/* one that is about to listen refuses as well: what is removed is only what a dead process has left */
	else if ((fd == -ECONNREFUSED || fd == -ENOENT) && kill(m->pid, 0) < 0 && errno == ESRCH)
		unlink(m->path);
	return fd >= 0;
}

static int machine_compare(const void *pa, const void *pb)
{
	const struct place_machine *a = *(const void *const *)pa, *b = *(const void *const *)pb;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->pid > b->pid) - (a->pid < b->pid);
}

GPtrArray *place_list(void)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(machine_free);
	char *dir = place_dir(false, NULL);
	GDir *files = dir ? g_dir_open(dir, 0, NULL) : NULL;
	int dir_fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	const char *file;

	/* between its name and its listening a machine would be taken for none */
	if (dir_fd >= 0)
		flock(dir_fd, LOCK_SH);
	while (files && (file = g_dir_read_name(files))) {
		struct place_machine *m = machine_of(dir, file);

		if (m && machine_runs(m))
			g_ptr_array_add(list, m);
		else if (m)
			machine_free(m);
	}
	if (files)
		g_dir_close(files);
	if (dir_fd >= 0)
		close(dir_fd);
	g_free(dir);
	g_ptr_array_sort(list, machine_compare);
	return list;
}
