/* A survey from within: what the files lib/survey_*.c share, and nobody else includes. */
#ifndef DSTRAIN_LIB_SURVEY_INSIDE_H
#define DSTRAIN_LIB_SURVEY_INSIDE_H

#include <stdint.h>

#include "lib/survey.h"

enum { SURVEY_LARGE = 24 }; /* hosts, above which not every pair is measured */
#define SURVEY_FULL    0.85 /* of what is expected: as good as all of it, given noise */
#define SURVEY_DEFICIT 0.90 /* a sum below this part of the expected is short of it */

struct flow_net;

/* A step, asked for or to be asked for. */
struct trial {
	struct survey_step step; /* owns its flows */
	double *rates;		 /* [count]; NAN: unknown */
	double cost_s;		 /* about how long it takes */
};

struct reading {
	double bytes_per_s, spread;
	size_t trial;
};

/* What was measured between an ordered pair. */
struct measured {
	struct reading *readings; /* [count], owned */
	unsigned count, failures;
	bool settled;		  /* readings without company on its way agree */
	unsigned judged, version; /* readings, and the version of the model, that this is by */
	double best;		  /* the highest reading; NAN: none */
	double hint;		  /* what its clusters do; NAN: unknown */
};

enum survey_way { SURVEY_UP, SURVEY_DOWN, SURVEY_WAYS };

/* Hosts that may share a way out and a way in. */
enum suspect_kind {
	SUSPECT_SLOW,	 /* by rates alone: slower to others than among each other */
	SUSPECT_GUESSED, /* whether it is one cluster is to be checked */
	SUSPECT_FOUND,	 /* by a set of flows that was short */
	SUSPECT_DOUBTFUL /* a part of another one, perhaps: that does not show alone */
};
struct suspect {
	enum suspect_kind kind;
	bool *members; /* [hosts], owned */
	size_t size;
	bool proven;		     /* at least one way */
	unsigned tried[SURVEY_WAYS]; /* bits of enum segment_test_kind */
};

/* How many flows at once the whole carries: found by halving a round until nothing is gained. */
enum { RUNGS = 12 };
struct ladder {
	size_t rungs, sizes[RUNGS], firsts[RUNGS]; /* flows at once, the first of its trials */
	double sums[RUNGS], best, most; /* of all flows of a round, of any, of any step */
	bool done;
};

/* Clusters within clusters, by rates. */
struct levels {
	int *cluster;	   /* [hosts] of this level; NULL: not begun */
	int count;	   /* clusters */
	bool *doubtful;	   /* [hosts] its cluster could be in either of several */
	double *up, *down; /* [hosts] the best that its cluster did on the level below */
};

/* Flows in two steps or three, to see whether their sum falls short of what is expected. */
enum segment_test_kind {
	TEST_NONE = 0,
	TEST_SPREAD = 1, /* one flow to each of the other clusters */
	TEST_ALL = 2,	 /* one flow of each member */
	TEST_HALVES = 4, /* half of the members are enough to fill it */
	TEST_JOIN = 8	 /* whether others are members, too */
};
struct segment_test {
	enum segment_test_kind kind;
	enum survey_way way;
	size_t suspect, joining; /* their numbers */
	size_t segment;		 /* of the model, that others may join */
	size_t tail;		 /* flows of those who may join, the last ones */
	unsigned short_count, fine_count;
	double sums[8]; /* of those that were short */
};

struct nic_tests {
	double *most[SURVEY_WAYS];    /* [hosts] of several flows at once; 0: unknown */
	size_t *fan[SURVEY_WAYS];     /* [hosts] flows at once in its next test */
	bool *boundless[SURVEY_WAYS]; /* [hosts] more flows always carried more */
	bool *again[SURVEY_WAYS];     /* [hosts] its last test is to be confirmed */
	bool *done[SURVEY_WAYS];
};

/* The block of hosts that is guessed to be a cluster. */
struct blocks {
	size_t size, suspect;
	bool under_test;
};

/* Looks for what else is shared, where sums are short of what the model expects. */
enum search_phase {
	SEARCH_HUNT,	/* a random set */
	SEARCH_REDUCE,	/* to the least set that is short */
	SEARCH_SIDES,	/* is it where they come from, or where they go to? */
	SEARCH_MEMBERS, /* who can take the place of one of them? */
	SEARCH_PROVE,	/* are all of these short with whatever other ends? */
	SEARCH_BESIDE,	/* who adds nothing to them? */
	SEARCH_MORE	/* the other way, and their neighbours */
};
struct search {
	enum search_phase phase;
	struct survey_flow *flows; /* [count] a set that is short, owned; the first `fixed` are
				    * needed for that */
	size_t count, fixed;
	size_t low, high, tested; /* so many of them are not enough, are enough, are under test */
	bool again;		  /* the same set a second time */
	unsigned clean, barren;	  /* hunts without a find, finds without a segment */
	unsigned agreed;	  /* trials that say that a host is a member */
	unsigned slow_pairs;	  /* finds that were one pair, slower than its neighbours */
	enum survey_way way;
	bool *members;	 /* [hosts] on that side, owned */
	int *candidates; /* [candidate_count] others, owned */
	size_t candidate_count, candidate, batch;
	size_t segments, suspect; /* how many before the proof; the number of what is proved */
};

struct survey {
	size_t hosts;
	struct survey_params params;
	char **groups; /* [hosts], entries may be NULL; or NULL */
	struct links links;
	struct links model;   /* assumed: pairs alone, and first of all segments each host's NIC:
			       * 2 * host + way */
	struct flow_net *net; /* of the model; NULL: to be made */
	unsigned version;     /* of the model's segments */
	double noise;	      /* standard deviation of a reading, as a part of it; 0: unknown */
	struct measured *measured; /* [hosts * hosts] */
	unsigned *silent;	   /* [hosts] failures since it last did something */

	struct trial *trials;
	size_t trial_count, taken, batch; /* batch: where what was asked for last begins */
	size_t stage;
	double spent_s, done_s, spent_bytes; /* of steps asked for, of those done */
	double guessed_s;		     /* what those done were taken to cost */
	double slower;			     /* than that, by so much, is what they really take */
	bool ended;

	size_t at_once; /* flows */
	double ceiling; /* bytes per second of all flows that measuring itself allows */
	uint64_t draws; /* random numbers drawn */
	size_t passes;	/* of the stage */

	struct ladder ladder;
	struct levels levels;
	struct suspect *suspects;
	size_t suspect_count;
	struct segment_test test;
	struct nic_tests nics;
	struct blocks blocks;
	struct search search;
};

/* survey_trials.c: the queue, and what is expected of a set of flows. */

/* Queues a step, without the flows that are known not to work. Flows are copied. Returns how many
 * there are; at 0, nothing was queued. */
size_t survey_add(struct survey *survey, enum survey_kind kind, const struct survey_flow *flows,
		  size_t count, const char *why);
double survey_step_cost(const struct survey_step *step, double rtt_s);
double survey_window(double bytes_per_s, double rtt_s);
/* The sum of the flows that did work, and of what the model expects of them. */
struct sums {
	double got, expected;
	size_t flows;
};
struct sums survey_sums(struct survey *survey, const struct trial *trial);
/* rates[count] by the model; limits[count] as in flow_rates, or NULL. */
void survey_expect(struct survey *survey, const struct trial *trial, double *rates, int *limits);
uint64_t survey_draw(struct survey *survey, uint64_t bound);
void survey_shuffle(struct survey *survey, int *items, size_t count);
/* Those that answer, in random order: hosts[*count], caller frees. */
int *survey_alive_hosts(struct survey *survey, size_t *count);
bool survey_time_is_up(const struct survey *survey, double part); /* with what is queued */
bool survey_is_over(const struct survey *survey);		  /* with what is done */

/* survey_pairs.c: readings, and what follows from them for pairs and NICs. */
struct measured *survey_measured(const struct survey *survey, int from, int to);
void survey_note(struct survey *survey, const struct trial *trial,
		 const struct survey_result *results);
bool survey_works(const struct survey *survey, int from, int to);
bool survey_unsettled(const struct survey *survey, int from, int to); /* to be read again */
bool survey_alive(const struct survey *survey, int host);
void survey_model(struct survey *survey);   /* brings the model up to date */
void survey_remodel(struct survey *survey); /* its segments are others than before */
/* The least of the segments on its way, by the model: no pair does more. */
double survey_room(const struct survey *survey, int from, int to);
/* Whether others among the flows may take something from this one, not counting segment `but`. */
#define SURVEY_NONE SIZE_MAX
bool survey_crowded(const struct survey *survey, const struct survey_flow *flows, size_t count,
		    size_t flow, size_t but);
double survey_nic(const struct survey *survey, int host, enum survey_way way);

/* survey_noise.c: half of the 95 % interval of a figure by these readings, as a part of it. */
double survey_interval(const struct survey *survey, const double *readings, size_t count,
		       double figure);
void survey_note_noise(struct survey *survey);

/* The middle of the values that are about the highest; sorts them. NAN: there are none. */
double survey_plateau(double *values, size_t count);

/* survey_segments.c: clusters that are suspected, and tested. */
/* False: it is one already, or cannot be one. */
bool survey_suspect(struct survey *survey, const bool *members, enum suspect_kind kind);
void survey_suspect_siblings(struct survey *survey, size_t suspect);
void survey_join(struct survey *survey, size_t segment, enum survey_way way, const bool *joining);
size_t survey_add_segment(struct survey *survey, const bool *members, enum survey_way way,
			  double bytes_per_s);
/* For pairs alone: what seems slower to others has one way out and one in, for one flow. */
void survey_assume_segments(struct survey *survey);
void survey_refine(struct survey *survey); /* capacities, by all there is */
/* Adds flows that fill a segment, between hosts that are not busy yet. Returns how many. */
size_t survey_fill(struct survey *survey, size_t segment, bool *busy, struct survey_flow *flows);

/* Rounds in which everybody meets everybody, or, of many, near ones and some far ones: shifts
 * [*count], caller frees. */
size_t *survey_shifts(size_t parties, size_t *count);

/* The stages: each queues steps, or returns false when it has nothing more to ask. */
bool survey_pings(struct survey *survey);
bool survey_climb(struct survey *survey); /* how many flows at once */
void survey_climb_again(struct survey *survey);
bool survey_rounds(struct survey *survey);
bool survey_levels(struct survey *survey);
bool survey_segments(struct survey *survey);
bool survey_nics(struct survey *survey);
bool survey_blocks(struct survey *survey);
bool survey_search(struct survey *survey);
bool survey_settle(struct survey *survey);

void survey_nics_init(struct survey *survey);
void survey_nics_release(struct survey *survey);

#endif
