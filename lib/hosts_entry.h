/* Between the hosts*.c files: how a name with its settings becomes hosts. */
#ifndef DSTRAIN_LIB_HOSTS_ENTRY_H
#define DSTRAIN_LIB_HOSTS_ENTRY_H

#include "lib/setting.h"

struct error;
struct hosts;

/*
 * Adds the host called `name`, or all of a range "node[01-08]", with what `given` says ("slots",
 * "env.A", ...; consumed: entries are added and marked), what ssh_config says, and the defaults.
 * What is wrong goes to `problems`, each line once.
 */
void hosts_add(struct hosts *hosts, const char *name, struct place place, struct settings *given,
	       struct problems *problems);

/* Reads a YAML or MPI hosts file into `hosts`. */
int hosts_read_file(struct hosts *hosts, const char *path, struct problems *problems,
		    struct error *err);

#endif
