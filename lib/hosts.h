/* Where to train: hosts from a YAML file, an MPI host file, "a:4,b:4" or "local:N". */
#ifndef DSTRAIN_LIB_HOSTS_H
#define DSTRAIN_LIB_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;
struct problems;

enum host_key_check { HOST_KEY_STRICT, HOST_KEY_ACCEPT_NEW, HOST_KEY_NO_CHECK };

/* One host, with what ~/.ssh/config says about its name already applied. Texts are owned; NULL
 * means not given. */
struct host {
	char *name;    /* as the user wrote it; in all messages */
	bool local;    /* this machine, without SSH */
	char *address; /* what to dial: a name or a numeric address */
	char *user;    /* never NULL for SSH hosts */
	uint16_t port;
	char **identities; /* key files to try, in order */
	size_t identity_count;
	bool identities_only; /* do not ask the agent */
	char **known_hosts;   /* files, in order */
	size_t known_hosts_count;
	char *host_key_alias;
	char *host_key; /* pinned: "ssh-ed25519 AAAA..." or "SHA256:..." */
	enum host_key_check host_key_check;
	char *proxy_jump; /* "user@host:port[,...]" */
	double connect_timeout_s;
	size_t slots;	 /* workers to start; at least 1 */
	char *network;	 /* CIDR: the worker binds its address within it */
	char *data_addr; /* or exactly this one */
	char **env;	 /* "NAME=value" */
	size_t env_count;
	char *group; /* site, rack or NULL */
};

struct hosts {
	struct host *entries;
	size_t count;
	size_t *index; /* of hosts_add: where a name hashes to, its place in `entries` plus one */
	size_t index_size;
};

/*
 * `spec` is a path or an inline form. Everything wrong with a file is reported at once to
 * `problems`, as file:line:column; then, and for a missing file, the result is -1 with err set.
 */
int hosts_load(struct hosts *out, const char *spec, struct problems *problems, struct error *err);
/* "user@name:port" with what ~/.ssh/config says about the name, as ssh takes it. */
int host_target(struct host *out, const char *target, struct error *err);
size_t hosts_slots(const struct hosts *hosts); /* the world size */
bool hosts_remote(const struct hosts *hosts);  /* any of them */
/* As native YAML, for the run directory: loads back to the same hosts. */
void hosts_print(const struct hosts *hosts, struct buf *out);
void host_release(struct host *host);
void hosts_release(struct hosts *hosts);

#endif
