/* What ~/.ssh/config and /etc/ssh/ssh_config say about a host name; see ssh_config(5). */
#ifndef DSTRAIN_LIB_SSH_CONFIG_H
#define DSTRAIN_LIB_SSH_CONFIG_H

#include <stdbool.h>

#include "lib/setting.h"

struct error;

/* Settings in the words of a hosts file: address, user, port, identity (list), identities_only,
 * proxy_jump, known_hosts (list), host_key_alias, host_key_check, connect_timeout. Zeroed is valid
 * and empty. */
struct ssh_config {
	struct settings settings;
	struct settings files; /* the places' file names */
};

/*
 * Reads the files anew, or only $DSTRAIN_SSH_CONFIG where that is set. `user` is whom to log in as
 * if that is settled, else NULL. Missing files are fine; unreadable ones and unfinished quotes are
 * errors. Match blocks other than `Match all` are skipped.
 */
int ssh_config_read(struct ssh_config *out, const char *name, const char *user, struct error *err);
void ssh_config_release(struct ssh_config *config);

/* `*` and `?` as in host patterns. */
bool ssh_pattern_match(const char *pattern, const char *text);
char *ssh_login_name(void);		 /* caller frees */
char *ssh_expand_home(const char *path); /* "~/x"; caller frees */

#endif
