/* Brings a host to the state a run needs: this binary and the data files, by digest, once. */
#ifndef DSTRAIN_LIB_PROVISION_H
#define DSTRAIN_LIB_PROVISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct host;
struct ssh;

/* A file that workers need. */
struct provision_file {
	char *path;	 /* here */
	char digest[65]; /* SHA-256, hex; "" if it does not travel */
	uint64_t bytes;
};

struct provision_files {
	struct provision_file *entries; /* [0] is this program */
	size_t count;
};

/* This program (/proc/self/exe) and the given files; a missing one is an error. Digests are made
 * where they `travel`, and are "" where all hosts are local. */
int provision_collect(struct provision_files *out, char *const *paths, size_t count, bool travel,
		      struct error *err);

struct provision_progress {
	/* Called from the host's thread; `sent` of `bytes` in all for this host. May be NULL. */
	void (*sent)(void *arg, const struct host *host, uint64_t sent, uint64_t bytes);
	void *arg;
};

/*
 * Sends what the host lacks into its cache directory (${XDG_CACHE_HOME:-~/.cache}/dstrain there):
 * bin/DIGEST/dstrain and data/DIGEST. Refuses another architecture. *cache_dir (caller frees) is
 * the absolute path of the directory on the host; *sent the bytes that had to travel.
 */
int provision_host(struct ssh *ssh, const struct host *host, const struct provision_files *files,
		   const struct provision_progress *progress, char **cache_dir, uint64_t *sent,
		   struct error *err);
void provision_files_release(struct provision_files *files);

#endif
