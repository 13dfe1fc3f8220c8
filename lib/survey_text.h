/* What the user's side and the rank that leads a survey tell each other: as JSON. */
#ifndef DSTRAIN_LIB_SURVEY_TEXT_H
#define DSTRAIN_LIB_SURVEY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/links.h"
#include "lib/survey.h"

struct buf;
struct error;

/* Of a survey of so many hosts: what control_plan.probe says. */
void survey_params_print(const struct survey_params *params, size_t hosts, struct buf *out);
/* `groups` is the caller's array [hosts], for params->groups; its texts are owned. */
int survey_params_parse(struct survey_params *params, char **groups, size_t hosts, const char *text,
			struct error *err);

/* Into such a text: the ranks that each host is going to train with, which it tries out, too. */
void survey_slots_print(const size_t *slots, size_t hosts, struct buf *out);
/* Caller frees; NULL: nothing is to be trained. */
size_t *survey_slots_parse(const char *text, size_t hosts);

/* How far a survey is: what a SURVEY frame says. Zeroed is valid. */
struct survey_report {
	char *why;	       /* what is measured next, owned; NULL: it is complete */
	double done_s, left_s; /* so far, and about how long it still takes */
	size_t steps, flows;   /* so far, as the next */
	double bytes;	       /* of payload, that flows have carried */
	bool has_links;	       /* not each report has them */
	struct links links;    /* what is known; owned */
};

/* `links` may be NULL. */
void survey_report_print(const struct survey_report *report, const struct links *links,
			 struct buf *out);
int survey_report_parse(struct survey_report *out, const char *text, struct error *err);
void survey_report_release(struct survey_report *report);

#endif
