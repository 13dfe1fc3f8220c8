/*
 * Links from files: links.json as `dstrain probe --save` writes it; a topology such as the lab's
 * (YAML: nic, uplink, hosts or racks, overrides; delay; changes over time); a matrix of rates in
 * Gbit/s (CSV, row sends, column receives), with a matrix of round trips in milliseconds beside
 * it; or rows region_a,region_b,delay_ms,bandwidth_gbps.
 */
#ifndef DSTRAIN_LIB_LINKS_FILE_H
#define DSTRAIN_LIB_LINKS_FILE_H

#include <stddef.h>

#include "lib/links.h"

struct error;
struct problems;

/* A change while a run goes on: from then on a segment has another capacity. */
struct links_event {
	double at_s;
	size_t segment;
	double bytes_per_s;
};

struct links_script {
	struct links_event *events; /* in order of time; owned */
	size_t count;
	double repeat_s; /* the events begin anew after so long; 0: never */
	size_t *slots;	 /* [hosts] ranks on each, where the file says; NULL: one each; owned */
};

/*
 * What kind of file it is, its content tells. Rates of a topology are the wire's, as `tc` takes
 * them: what TCP leaves of them for payload stands in the links. `rtt_path` may be NULL. `script`
 * may be NULL. Problems of a YAML file go to `problems`, with file:line:column, as hosts_load does.
 */
int links_load(struct links *out, struct links_script *script, const char *path,
	       const char *rtt_path, struct problems *problems, struct error *err);
void links_script_release(struct links_script *script);

#endif
