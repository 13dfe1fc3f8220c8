/* What workers are told before they train: the plan, its links, and on which host each rank is. */
#include "lib/roster.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/memory.h"

int *roster_spread(const size_t *slots, size_t hosts, int *world)
{
	int *host_of = NULL;

	*world = 0;
	for (size_t host = 0; host < hosts; host++)
		for (size_t slot = 0; slot < slots[host]; slot++) {
			host_of = xgrow(host_of, (size_t)*world, sizeof(*host_of));
			host_of[(*world)++] = (int)host;
		}
	return host_of;
}

int *roster_host_of(const struct hosts *hosts)
{
	size_t *slots = xcalloc(hosts->count, sizeof(*slots));
	int *host_of, world;

	for (size_t i = 0; i < hosts->count; i++)
		slots[i] = hosts->entries[i].slots;
	host_of = roster_spread(slots, hosts->count, &world);
	free(slots);
	return host_of;
}

void roster_print(const struct roster *roster, struct buf *out)
{
	struct json *json = json_object_new(), *host_of = json_array_new();

	for (int i = 0; i < roster->world; i++)
		json_add_count(host_of, NULL, (uint64_t)roster->host_of[i]);
	json_add(json, "plan", plan_json(&roster->plan));
	json_add(json, "links", links_json(&roster->links));
	json_add(json, "host_of", host_of);
	json_print(json, 0, out);
	json_free(json);
}

static int read_links(struct links *out, const struct json *json, struct error *err)
{
	return json ? links_from_json(out, json, err) : error_set(err, "it has no links");
}

static int read_host_of(struct roster *out, const struct json *json, int world, struct error *err)
{
	if (!json || json_size(json) != (size_t)world)
		return error_set(err, "it does not say on which host each of %d ranks is", world);
	out->host_of = xcalloc((size_t)world, sizeof(*out->host_of));
	for (int i = 0; i < world; i++) {
		uint64_t host = json_count(json_at(json, (size_t)i), UINT64_MAX);

		if (host >= out->links.hosts)
			return error_set(err, "it has no host for rank %d", i);
		out->host_of[i] = (int)host;
	}
	out->world = world;
	return 0;
}

static int read_plan(struct roster *out, const struct json *json, int world, struct error *err)
{
	if (!json)
		return error_set(err, "it has no plan");
	if (plan_from_json(&out->plan, json, err) < 0)
		return -1;
	if (out->plan.schedule.world != world)
		return error_set(err, "it is for %d ranks, not for %d", out->plan.schedule.world,
				 world);
	return 0;
}

int roster_parse(struct roster *out, const char *text, int world, struct error *err)
{
	struct json *json = json_parse(text, strlen(text), err);
	int status = json ? 0 : -1;

	*out = (struct roster){ 0 };
	if (status == 0)
		status = read_plan(out, json_get(json, "plan"), world, err);
	if (status == 0)
		status = read_links(&out->links, json_get(json, "links"), err);
	if (status == 0)
		status = read_host_of(out, json_get(json, "host_of"), world, err);
	json_free(json);
	if (status == 0)
		return 0;
	roster_release(out);
	return error_prefix(err, "the plan cannot be used");
}

void roster_release(struct roster *roster)
{
	plan_release(&roster->plan);
	links_release(&roster->links);
	free(roster->host_of);
	*roster = (struct roster){ 0 };
}
