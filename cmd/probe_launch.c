/* Measures the links between some hosts: starts a worker on each, and shows how far it is. */
#include "cmd/probe_launch.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/launch.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "lib/units.h"

#define PLAIN_S 5.0 /* between two lines where none can be rewritten */

static void show(struct probe_launch *probe, const struct survey_report *now)
{
	char left[32], bytes[32];
	char *full, *narrow;

	if (probe->quiet || !now->why || (!probe->live && clock_now() < probe->shown + PLAIN_S))
		return;
	units_show_seconds(left, sizeof(left), now->left_s);
	units_show_bytes(bytes, sizeof(bytes), now->bytes);
	full = xasprintf("probe: %s, %.0f s so far, %s sent, about %s left", now->why, now->done_s,
			 bytes, left);
	narrow = xasprintf("probe: about %s left", left);
	if (probe->live)
		progress_show(full, narrow);
	else
		log_progress("%s", full);
	probe->shown = clock_now();
	free(full);
	free(narrow);
}

/* Reports without links leave those of the one before. */
static int take_report(void *arg, const struct control_frame *frame, struct error *err)
{
	struct probe_launch *probe = arg;
	struct survey_report now;
	char *text;
	int status;

	if (control_get_survey(&text, frame, err) < 0)
		return -1;
	status = survey_report_parse(&now, text, err);
	free(text);
	if (status < 0)
		return -1;
	show(probe, &now);
	if (!now.has_links) {
		now.has_links = probe->report.has_links;
		now.links = probe->report.links;
		probe->report.has_links = false;
	}
	survey_report_release(&probe->report);
	probe->report = now;
	return 0;
}

char **probe_names(const struct hosts *hosts)
{
	char **names = xcalloc(hosts_slots(hosts), sizeof(*names));
	size_t rank = 0;

	for (size_t i = 0; i < hosts->count; i++) {
		const struct host *host = &hosts->entries[i];

		for (size_t slot = 0; slot < host->slots; slot++)
			names[rank++] = host->slots > 1 ? xasprintf("%s/%zu", host->name, slot)
							: xstrdup(host->name);
	}
	return names;
}

static void print_params(const struct probe_launch *probe, struct buf *out)
{
	struct survey_params params = probe->params;
	size_t slots = hosts_slots(probe->hosts), rank = 0;
	const char **groups = xcalloc(slots, sizeof(*groups));

	for (size_t i = 0; i < probe->hosts->count; i++)
		for (size_t slot = 0; slot < probe->hosts->entries[i].slots; slot++) {
			groups[rank] = probe->hosts->entries[i].group;
			params.groups = groups[rank++] ? groups : params.groups;
		}
	survey_params_print(&params, slots, out);
	if (probe->slots)
		survey_slots_print(probe->slots, slots, out);
	free(groups);
}

enum supervise_end probe_launch(struct probe_launch *probe, struct error *err)
{
	struct buf params = { 0 };
	struct launch launched = {
		.hosts = probe->hosts,
		.files = probe->files,
		.recipe = probe->recipe,
		.threads = probe->threads,
		.fanout = probe->fanout,
		.post = probe->post,
		.measured = take_report,
		.measured_arg = probe,
	};
	enum supervise_end end;

	print_params(probe, &params);
	launched.probe = buf_text(&params);
	if (probe->live)
		log_before_line(progress_hide);
	end = launch(&launched, err);
	progress_hide();
	probe->failures = launched.report;
	buf_release(&params);
	return end;
}

void probe_launch_release(struct probe_launch *probe)
{
	survey_report_release(&probe->report);
	buf_release(&probe->failures);
}
