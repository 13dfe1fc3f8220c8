/* Whether hosts can train together: what each is, and who reaches whom. */
#ifndef DSTRAIN_LIB_DOCTOR_H
#define DSTRAIN_LIB_DOCTOR_H

#include <stddef.h>

struct hosts;
struct provision_files;

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM };

/* One line for the user; texts are owned. */
struct finding {
	enum finding_level level;
	const char *host; /* borrowed from the hosts */
	char *text;
	char *fix; /* a command or what to change; NULL if nothing needs fixing */
};

struct findings {
	struct finding *entries;
	size_t count;
};

/*
 * Connects to every host, sends this program there, runs it as `dstrain reach`, and lets all pairs
 * of hosts connect to each other at the addresses that a run would use. Blocks: up to 10 s for each
 * pair that does not reach each other, one after the other. A signal (lib/stop) ends it early.
 * Returns how many findings are problems. Call it from the main thread.
 */
size_t doctor(const struct hosts *hosts, const struct provision_files *files, size_t width,
	      struct findings *out);
void findings_release(struct findings *findings);

#endif
