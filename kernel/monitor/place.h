/* SPDX-License-Identifier: MIT */
/*
 * Where running machines are found: a folder of the user's own with a socket (or a link to one) for each,
 * called NAME.PID.sock, so that two machines of one name are told apart. Shared by the monitor and `mortise
 * ctl`.
 */
#ifndef KERNEL_MONITOR_PLACE_H
#define KERNEL_MONITOR_PLACE_H

#include <glib.h>
#include <mortise/error.h>
#include <stdbool.h>
#include <sys/types.h>

struct place_machine {
	char *name, *path;
	pid_t pid;
};

/*
 * The folder: $XDG_RUNTIME_DIR/mortise, /run/user/UID/mortise, or /tmp/mortise-UID, with mode 0700. With
 * `make` it is made where it is missing. NULL with `err` filled: there is none, or it is somebody else's.
 * Free with g_free.
 */
char *place_dir(bool make, struct mt_error *err);
/* The socket's path in a folder, for a machine of this name and this process; free with g_free. */
char *place_path(const char *dir, const char *name);

/*
 * The machines that run, by name and process: struct place_machine, freed with the array. What is left of
 * those that ended without tidying up is removed.
 */
GPtrArray *place_list(void);

/* A connected socket, or a negative errno. */
int place_connect(const char *path);

/*
 * A listening socket of mode 0600 at `path`, non-blocking. A socket that nobody listens to any more is
 * replaced; one that somebody listens to, and any other file, is an error. A negative code with `err`
 * filled.
 */
int place_listen(const char *path, struct mt_error *err);

#endif
