/* Whether hosts can train together: what `dstrain hosts check` says, and `probe --ssh-only`. */
#include "cmd/hosts_check.h"

#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "lib/doctor.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/provision.h"
#include "lib/stop.h"
#include "lib/terminal.h"

static const char *const level_names[] = {
	[FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_PROBLEM] = "problem"
};

static void print_findings(const struct findings *findings, const struct flags *flags)
{
	struct style style = terminal_style(STDOUT_FILENO, (enum terminal_color)flags->color);
	const char *const colors[] = { [FINDING_OK] = style.green,
				       [FINDING_WARNING] = style.yellow,
				       [FINDING_PROBLEM] = style.red };

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->entries[i];

		if (flags->quiet && finding->level == FINDING_OK)
			continue;
		printf("%s%-7s%s %s: %s", colors[finding->level], level_names[finding->level],
		       style.reset, finding->host, finding->text);
		printf(finding->fix ? "; fix: %s\n" : "\n", finding->fix);
	}
}

static void print_json(const struct findings *findings)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < findings->count; i++) {
		struct json *entry = json_object_new();

		json_add_text(entry, "level", level_names[findings->entries[i].level]);
		json_add_text(entry, "host", findings->entries[i].host);
		json_add_text(entry, "finding", findings->entries[i].text);
		json_add_text(entry, "fix", findings->entries[i].fix);
		json_add(list, NULL, entry);
	}
	output_json(list);
	json_free(list);
}

int hosts_check(const struct hosts *hosts, const struct flags *flags)
{
	struct provision_files files = { 0 };
	struct findings findings = { 0 };
	struct error err;
	int status;

	if (provision_collect(&files, NULL, 0, hosts_remote(hosts), &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	status = doctor(hosts, &files, flags->fanout, &findings) ? EXIT_FAILED : EXIT_DONE;
	if (stop_signal())
		status = 128 + stop_signal(); /* half a check says nothing */
	else if (flags->json)
		print_json(&findings);
	else
		print_findings(&findings, flags);
	findings_release(&findings);
	provision_files_release(&files);
	return status;
}
