/*
 * Averages among ranks that go at their own pace, without a centre. A rank that finished a step
 * waits for a meeting: some ranks that all wait give each other their weights, mix them, and
 * compute on. Who meets is decided by a pure state machine, the rule, whose state is a token: it
 * lies at one rank at a time, and goes from meeting to meeting, to the member that came last.
 *
 *	ready	a rank waits: to where it knows the token to have gone, and from there after it
 *	go	to the members of a meeting: its number, and who they are
 *	token	the state of the rule
 *	weights	of a member, to the members it mixes with
 *
 * The token has gone somewhere with the number of each meeting. A `ready` names the number that its
 * way goes by: who gets it and was given the token with a later one knows a later place; who was
 * not yet keeps it until the token is there. So numbers rise along its way, and it comes to the
 * token whatever is faster. All of it is done by progress threads: a rank that computes, however
 * slowly, is never waited for, but by the rule. tests/spin/aau.pml is a model of this.
 *
 * What is told here is told in answer to what was served, and by ranks that finish a step: so that
 * at a cut a meeting that was called is whole, and what is left is done when it settles.
 */
#ifndef DSTRAIN_RUNTIME_MEETING_H
#define DSTRAIN_RUNTIME_MEETING_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/sync/sync.h"

struct buf;
struct meeting;
struct wire;

/* Ranks are their places in the world. The search is a rule's state; calls come one at a time. */
struct meeting_rule {
	/* `place` finished a step, and waits. How many meet now, 0: nobody yet. They all wait, and
	 * *members (borrowed until the next call) ends with `place`. */
	int (*ready)(void *search, int place, const int **members);
	/* Nobody waits, and all begins anew. */
	void (*reset)(void *search);
	/* All that is not the same on every rank, for another one to go on with; -1: malformed. */
	void (*put)(const void *search, struct buf *out);
	int (*get)(void *search, struct wire *from);
	/* part[i] of what member number `of` has afterwards is from member i; they give each other
	 * nothing where it is 0. Parts sum to 1, and are as great the other way. */
	void (*parts)(const void *search, const int *members, int count, int of, double *part);
};

/* Borrows all. No rank mixes with more than `partners` others at once. */
struct meeting *meeting_new(const struct sync_env *env, const struct meeting_rule *rule,
			    void *search, int partners);
void meeting_free(struct meeting *meeting); /* may be NULL */

/* The operations of a strategy that have these names, whose state begins with its meeting. */
int meeting_go(void *state, size_t step, float *weight, struct error *err);
int meeting_settle(void *state, float *weight, struct error *err);
void meeting_serve(void *state, int peer, uint64_t tag, const void *bytes, size_t length);
void meeting_report(void *state, struct drift *drift);

/* What a `go` says, for tests: members[most], how many they are, the meeting's number; 0: it is
 * another message. */
int meeting_called(uint64_t tag, const void *bytes, size_t length, int *members, int most,
		   uint64_t *number);

#endif
