/* dstrain hosts: what a hosts file means, and whether the hosts can train. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/hosts_check.h"
#include "cmd/output.h"
#include "lib/buf.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/setting.h"
#include "lib/stop.h"

static void add_list(struct json *to, const char *key, char *const *texts, size_t count)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < count; i++)
		json_add_text(list, NULL, texts[i]);
	json_add(to, key, list);
}

static void add_ssh(struct json *json, const struct host *host)
{
	static const char *const checks[] = { [HOST_KEY_STRICT] = "strict",
					      [HOST_KEY_ACCEPT_NEW] = "accept-new",
					      [HOST_KEY_NO_CHECK] = "no" };

	json_add_text(json, "address", host->address);
	json_add_count(json, "port", host->port);
	json_add_text(json, "user", host->user);
	add_list(json, "identity", host->identities, host->identity_count);
	json_add_bool(json, "identities_only", host->identities_only);
	add_list(json, "known_hosts", host->known_hosts, host->known_hosts_count);
	json_add_text(json, "host_key", host->host_key);
	json_add_text(json, "host_key_alias", host->host_key_alias);
	json_add_text(json, "host_key_check", checks[host->host_key_check]);
	json_add_text(json, "proxy_jump", host->proxy_jump);
	json_add_real(json, "connect_timeout", host->connect_timeout_s);
}

static struct json *host_json(const struct host *host)
{
	struct json *json = json_object_new();

	json_add_text(json, "name", host->name);
	json_add_bool(json, "local", host->local);
	if (!host->local)
		add_ssh(json, host);
	json_add_count(json, "slots", host->slots);
	json_add_text(json, "network", host->network);
	json_add_text(json, "data_addr", host->data_addr);
	json_add_text(json, "group", host->group);
	add_list(json, "env", host->env, host->env_count);
	return json;
}

static int show(const struct hosts *hosts, const struct flags *flags)
{
	if (flags->json) {
		struct json *list = json_array_new();

		for (size_t i = 0; i < hosts->count; i++)
			json_add(list, NULL, host_json(&hosts->entries[i]));
		output_json(list);
		json_free(list);
	} else {
		struct buf text = { 0 };

		hosts_print(hosts, &text);
		fputs(buf_text(&text), stdout);
		buf_release(&text);
	}
	return EXIT_DONE;
}

static const char *const words[] = { "check", "show", NULL };

static int hosts(const struct flags *flags)
{
	const char *word = flags->operands[0];
	struct problems problems = { 0 };
	struct hosts loaded = { 0 };
	struct error err;
	int status = EXIT_USAGE;

	stop_install(false);
	if (strcmp(word, "check") != 0 && strcmp(word, "show") != 0)
		log_error("hosts: '%s' is neither check nor show", word);
	else if (!flags->hosts)
		log_error("which hosts? give --hosts FILE or --hosts a:4,b:4");
	else if (hosts_load(&loaded, flags->hosts, &problems, &err) < 0)
		log_error("%s", err.text);
	else
		status = strcmp(word, "show") == 0 ? show(&loaded, flags)
						   : hosts_check(&loaded, flags);
	fputs(buf_text(&problems.text), stderr);
	problems_release(&problems);
	hosts_release(&loaded);
	return status;
}

const struct command hosts_command = {
	.name = "hosts",
	.operands = "check|show",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_WORD,
	.words = words,
	.flags = FLAG_HOSTS | FLAG_FANOUT | FLAG_JSON,
	.summary = "Check that hosts can train together, or show what a hosts file means",
	.details = "check connects to every host and says, a line each, what it is, what is wrong "
		   "there and how to mend it, and whether all pairs reach each other at the "
		   "addresses that a run would use. show prints the hosts with what ~/.ssh/config "
		   "says of them filled in, and connects to nothing.",
	.run = hosts,
};
