/* What the user's side and the rank that leads a survey tell each other: as JSON. */
#include "lib/survey_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"

void survey_params_print(const struct survey_params *params, size_t hosts, struct buf *out)
{
	struct json *json = json_object_new(), *groups = json_array_new();

	json_add_real(json, "seconds", params->seconds);
	json_add_real(json, "bytes", params->bytes);
	json_add_real(json, "precision", params->precision);
	json_add_count(json, "concurrent", params->concurrent);
	json_add_bool(json, "pairs_only", params->pairs_only);
	for (size_t i = 0; i < hosts && params->groups; i++)
		json_add_text(groups, NULL, params->groups[i]);
	json_add(json, "groups", groups);
	json_print(json, 0, out);
	json_free(json);
}

int survey_params_parse(struct survey_params *params, char **groups, size_t hosts, const char *text,
			struct error *err)
{
	struct json *json = json_parse(text, strlen(text), err);
	const struct json *named;

	if (!json)
		return error_prefix(err, "what to probe");
	*params = (struct survey_params){
		.seconds = json_get_real(json, "seconds", 0),
		.bytes = json_get_real(json, "bytes", 0),
		.precision = json_get_real(json, "precision", 0.05),
		.concurrent = json_get_count(json, "concurrent", 0),
		.pairs_only = json_get_bool(json, "pairs_only", false),
	};
	named = json_get(json, "groups");
	for (size_t i = 0; i < hosts && named && i < json_size(named); i++) {
		const char *group = json_text(json_at(named, i));

		groups[i] = group ? xstrdup(group) : NULL;
		params->groups = (const char *const *)groups;
	}
	json_free(json);
	return 0;
}

void survey_slots_print(const size_t *slots, size_t hosts, struct buf *out)
{
	/* As a last member. */
	out->length--;
	buf_addf(out, ",\"slots\":");
	for (size_t i = 0; i < hosts; i++)
		buf_addf(out, "%c%zu", i ? ',' : '[', slots[i]);
	buf_addf(out, "]}");
}

size_t *survey_slots_parse(const char *text, size_t hosts)
{
	struct error ignored; /* survey_params_parse says it */
	struct json *json = json_parse(text, strlen(text), &ignored);
	const struct json *list = json ? json_get(json, "slots") : NULL;
	size_t *slots = NULL;

	if (list && json_size(list) == hosts) {
		slots = xcalloc(hosts, sizeof(*slots));
		for (size_t i = 0; i < hosts; i++)
			slots[i] = json_count(json_at(list, i), 1);
	}
	json_free(json);
	return slots;
}

void survey_report_print(const struct survey_report *report, const struct links *links,
			 struct buf *out)
{
	struct json *json = json_object_new();

	json_add_text(json, "why", report->why);
	json_add_real(json, "done_s", report->done_s);
	json_add_real(json, "left_s", report->left_s);
	json_add_count(json, "steps", report->steps);
	json_add_count(json, "flows", report->flows);
	json_add_real(json, "bytes", report->bytes);
	if (links)
		json_add(json, "links", links_json(links));
	json_print(json, 0, out);
	json_free(json);
}

int survey_report_parse(struct survey_report *out, const char *text, struct error *err)
{
	struct json *json = json_parse(text, strlen(text), err);
	const struct json *links;
	const char *why;
	int status = 0;

	if (!json)
		return error_prefix(err, "what a probe has measured");
	links = json_get(json, "links");
	why = json_get_text(json, "why");
	*out = (struct survey_report){
		.why = why ? xstrdup(why) : NULL,
		.done_s = json_get_real(json, "done_s", 0),
		.left_s = json_get_real(json, "left_s", 0),
		.steps = json_get_count(json, "steps", 0),
		.flows = json_get_count(json, "flows", 0),
		.bytes = json_get_real(json, "bytes", 0),
		.has_links = links,
	};
	if (links)
		status = links_from_json(&out->links, links, err);
	if (status < 0) {
		out->has_links = false;
		survey_report_release(out);
	}
	json_free(json);
	return status;
}

void survey_report_release(struct survey_report *report)
{
	free(report->why);
	if (report->has_links)
		links_release(&report->links);
	*report = (struct survey_report){ 0 };
}
