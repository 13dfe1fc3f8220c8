/*
 * Clocks of ranks and what two holders know of them (runtime/sync/ledger.c, server.c), for all
 * orders in which steps end and messages come. A rank takes a step if its last update, or the one
 * AHEAD of that, is answered by both; a holder answers once the slowest rank that it knows of is
 * near enough. Each rank may send its last update twice. With STOPPED that rank takes no step.
 *
 *	clocks are never more than BOUND apart
 *	each update is applied once by each holder, in order
 *	no deadlock: when nothing can happen any more, all are done, or BOUND ahead of the one that
 *	stopped
 */
#ifndef N
#define N 3
#endif
#ifndef BOUND
#define BOUND 1
#endif
#ifndef AHEAD
#define AHEAD 0
#endif
#ifndef STEPS
#define STEPS 3
#endif
#ifndef STOPPED
#define STOPPED N
#endif

#define HOLDERS 2
#define AT(h, w) ((h) * N + (w))

chan update[HOLDERS * N] = [3] of { byte };
chan answer[HOLDERS * N] = [3] of { byte };

byte clock[N], answered[HOLDERS * N];
byte known[HOLDERS * N], owed[HOLDERS * N], applied[HOLDERS * N];

#define MAY(w)                                                                                   \
	(answered[AT(0, w)] + AHEAD >= clock[w] && answered[AT(1, w)] + AHEAD >= clock[w])

inline check_apart()
{
	byte a;

	for (a : 0 .. N - 1) {
		assert(clock[me] <= clock[a] + BOUND)
	}
	a = 0
}

proctype rank(byte me)
{
	byte c;
	bool again = false;

end:
	do
	:: atomic { me != STOPPED && clock[me] < STEPS && MAY(me) ->
		clock[me]++;
		check_apart();
		update[AT(0, me)]!clock[me];
		update[AT(1, me)]!clock[me] }
	:: atomic { !again && clock[me] > 0 && nfull(update[AT(0, me)]) ->
		again = true;
		update[AT(0, me)]!clock[me] }
	:: atomic { answer[AT(0, me)]?c ->
		if
		:: c > answered[AT(0, me)] -> answered[AT(0, me)] = c
		:: else
		fi;
		c = 0 }
	:: atomic { answer[AT(1, me)]?c ->
		if
		:: c > answered[AT(1, me)] -> answered[AT(1, me)] = c
		:: else
		fi;
		c = 0 }
	od
}

inline take(w)
{
	if
	:: c == known[AT(me, w)] + 1 ->
		known[AT(me, w)] = c;
		owed[AT(me, w)] = c;
		applied[AT(me, w)]++
	:: c <= known[AT(me, w)] ->
		if
		:: owed[AT(me, w)] == 0 -> owed[AT(me, w)] = known[AT(me, w)]
		:: else
		fi
	fi;
	assert(applied[AT(me, w)] == known[AT(me, w)])
}

inline answer_all()
{
	least = STEPS;
	for (i : 0 .. N - 1) {
		if
		:: known[AT(me, i)] < least -> least = known[AT(me, i)]
		:: else
		fi
	}
	for (i : 0 .. N - 1) {
		if
		:: owed[AT(me, i)] > 0 && owed[AT(me, i)] + 1 + AHEAD <= least + BOUND ->
			answer[AT(me, i)]!owed[AT(me, i)];
			owed[AT(me, i)] = 0
		:: else
		fi
	}
}

proctype holder(byte me)
{
	byte c, i, w, least;

end:
	do
	:: atomic {
		if
		:: update[AT(me, 0)]?c -> w = 0
		:: update[AT(me, 1)]?c -> w = 1
		:: N > 2 && nempty(update[AT(me, N - 1)]) -> update[AT(me, N - 1)]?c; w = N - 1
		fi;
		take(w);
		answer_all();
		c = 0; i = 0; w = 0; least = 0 }
	od
}

proctype judge()
{
	byte w;

	timeout;
	for (w : 0 .. N - 1) {
		assert(w == STOPPED || STOPPED == N || clock[w] == (BOUND < STEPS -> BOUND : STEPS));
		assert(STOPPED < N || clock[w] == STEPS)
	}
}

init {
	byte w;

	atomic {
		for (w : 0 .. N - 1) {
			run rank(w)
		}
		run holder(0);
		run holder(1);
		run judge()
	}
}
