/* A host while a run lasts: its SSH session, its cache directory, the programs started there. */
#ifndef DSTRAIN_LIB_SITE_H
#define DSTRAIN_LIB_SITE_H

#include <stddef.h>

struct error;
struct host;
struct hosts;
struct process;
struct provision_files;
struct ssh;

struct site {
	const struct host *host; /* borrowed */
	const char *digest;	 /* of the program there; borrowed from the provision_files */
	struct ssh *ssh;	 /* NULL for a local host */
	char *cache_dir;	 /* NULL for a local host */
	/* What is started on a remote host has it as DSTRAIN_RUN in its environment, what is
	 * started here has none there; borrowed, may be NULL. */
	const char *mark;
};

struct sites {
	struct site *entries; /* [count], as the hosts */
	size_t count;
};

/*
 * Connects to all hosts and sends what they lack of `files`, `width` hosts at once, saying on the
 * log what is sent. Returns how many hosts failed; their status is -1 and their error filled. Ends
 * early when a signal came (lib/stop).
 */
size_t sites_open(struct sites *out, const struct hosts *hosts, const struct provision_files *files,
		  size_t width, int *status, struct error *errors);

/* Starts this program there, as `dstrain COMMAND`. Call it from the main thread. */
int site_start(const struct site *site, const char *command, struct process *out,
	       struct error *err);
void sites_release(struct sites *sites);

#endif
