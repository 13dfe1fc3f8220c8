/*
 * Meetings of ranks that go at their own pace (runtime/sync/meeting.c) under the forest rule
 * (runtime/sync/pathsearch.c), for all orders in which steps end and messages come. N ranks, on a
 * ring (GRAPH 0), a path (1) or a complete graph (2); until CYCLES cycles are done. With STOPPED
 * that rank never finishes its step, and only its messages are served.
 *
 *	no deadlock: when nothing can happen any more, all cycles are done, or the others have had
 *	N - 2 meetings and wait for the one that stopped
 *	N - 1 meetings in a cycle, in which all take part
 *	one token, and no `ready` is lost: who waits is known where the token is
 *	a member is called while it waits, and needs one place for each neighbour's weights
 *
 * What the token carries is global here, and touched by its holder alone. Of messages between two
 * ranks those of one kind stay in order; others overtake each other.
 */
#ifndef N
#define N 3
#endif
#ifndef GRAPH
#define GRAPH 0
#endif
#ifndef CYCLES
#define CYCLES 2
#endif
#ifndef STOPPED
#define STOPPED N
#endif

#if GRAPH == 0
#define EDGE(a, b) (((a) + 1) % N == (b) || ((b) + 1) % N == (a))
#elif GRAPH == 1
#define EDGE(a, b) ((a) + 1 == (b) || (b) + 1 == (a))
#else
#define EDGE(a, b) ((a) != (b))
#endif

#define IN(mask, a) (((mask) >> (a)) & 1)
#define WIRE(from, to) wire[(from) * N + (to)]
#define BUFFER(to, from) buffer[(to) * N + (from)]
#define ALL ((1 << N) - 1)

mtype = { READY, GO, TOKEN, WEIGHTS };
mtype = { AWAY, WAITING, MEETING };

/* kind, number of a meeting; a place that is ready, or the last member; the members */
chan wire[N * N] = [6] of { mtype, byte, byte, byte };
chan kept[N] = [N] of { byte };

/* Each rank's own. */
bool holding[N];
byte at[N], known[N], number[N], members[N];
mtype stage[N] = AWAY;
byte buffer[N * N]; /* of whose weights came: of which meeting; 0: none */

/* The token's. */
byte tree[N], ready[N], waiting, met, events, cycle;

inline send(to, kind, n, place, mask)
{
	assert(nfull(WIRE(me, to)));
	WIRE(me, to)!kind(n, place, mask)
}

inline attend(n, last, mask)
{
	assert(stage[me] == WAITING);
	stage[me] = MEETING;
	number[me] = n;
	members[me] = mask;
	for (j : 0 .. N - 1) {
		if
		:: j != me && IN(mask, j) && EDGE(me, j) -> send(j, WEIGHTS, n, me, 0)
		:: else
		fi
	}
	if
	:: n > known[me] -> known[me] = n; at[me] = last
	:: else
	fi
}

inline establish(a, b)
{
	low = (tree[a] < tree[b] -> tree[a] : tree[b]);
	high = (tree[a] < tree[b] -> tree[b] : tree[a]);
	assert(low != high);
	whole = true;
	for (j : 0 .. N - 1) {
		if
		:: tree[j] == high -> tree[j] = low
		:: else
		fi;
		whole = whole && tree[j] == 0
	}
	events++;
	if
	:: whole ->
		assert(events == N - 1 && met == ALL);
		events = 0;
		met = 0;
		cycle++;
		for (j : 0 .. N - 1) { tree[j] = j }
	:: else
	fi
}

inline call(last)
{
	mask = 0;
	for (j : 0 .. waiting - 1) { mask = mask | (1 << ready[j]); ready[j] = 0 }
	waiting = 0;
	met = met | mask;
	known[me] = known[me] + 1;
	establish(other, last);
	for (j : 0 .. N - 1) {
		if
		:: j != me && IN(mask, j) -> send(j, GO, known[me], last, mask)
		:: else
		fi
	}
	at[me] = last;
	if
	:: IN(mask, me) -> attend(known[me], last, mask)
	:: else
	fi;
	if
	:: last != me -> holding[me] = false; send(last, TOKEN, known[me], 0, 0)
	:: else
	fi
}

inline decide(place)
{
	found = 0;
	do
	:: found < waiting && !(EDGE(ready[found], place) && tree[ready[found]] != tree[place]) ->
		found++
	:: else -> break
	od;
	assert(waiting < N);
	other = (found < waiting -> ready[found] : N);
	ready[waiting] = place;
	waiting++;
	if
	:: other < N -> call(place)
	:: else
	fi
}

inline take_ready(place, n)
{
	if
	:: holding[me] -> decide(place)
	:: !holding[me] && (at[me] == me || n > known[me]) -> assert(nfull(kept[me])); kept[me]!place
	:: !holding[me] && at[me] != me && n <= known[me] -> send(at[me], READY, known[me], place, 0)
	fi
}

inline take_token(n)
{
	for (j : 0 .. N - 1) { assert(!holding[j]) }
	holding[me] = true;
	at[me] = me;
	known[me] = n;
	do
	:: kept[me]?who -> take_ready(who, n)
	:: empty(kept[me]) -> break
	od
}

#define IS_THERE(j) (j == me || !IN(members[me], j) || !EDGE(me, j) || BUFFER(me, j) == number[me])

/* The meeting's weights are there. */
inline check_whole()
{
	whole = stage[me] == MEETING;
	for (j : 0 .. N - 1) { whole = whole && IS_THERE(j) }
}

/* Mixes as soon as it can: nobody sees when, for no message comes of it. */
inline mix()
{
	check_whole();
	if
	:: whole ->
		for (j : 0 .. N - 1) {
			if
			:: BUFFER(me, j) == number[me] -> BUFFER(me, j) = 0
			:: else
			fi
		}
		stage[me] = AWAY;
		number[me] = 0;
		members[me] = 0
	:: else
	fi
}

/* From `from`, one step away from `me`. */
#define SERVE(from)                                                                       \
	:: atomic { WIRE(from, me)??READY(n, who, any) -> take_ready(who, n); clear() }   \
	:: atomic { WIRE(from, me)??GO(n, who, any) -> attend(n, who, any); mix(); clear() } \
	:: atomic { WIRE(from, me)??TOKEN(n, who, any) -> take_token(n); clear() }        \
	:: atomic { WIRE(from, me)??WEIGHTS(n, who, any) ->                               \
			assert(BUFFER(me, who) == 0); BUFFER(me, who) = n; mix(); clear() }

/* Scratch is no state. */
inline clear()
{
	n = 0; who = 0; any = 0; j = 0; mask = 0; found = 0; other = 0; low = 0; high = 0; whole = false
}

proctype rank(byte me)
{
	byte n, who, any, j, mask, found, other, low, high;
	bool whole;

end:	do
	:: atomic { stage[me] == AWAY && me != STOPPED && cycle < CYCLES ->
			stage[me] = WAITING; take_ready(me, known[me]); clear() }
	SERVE((me + 1) % N)
	SERVE((me + 2) % N)
#if N > 3
	SERVE((me + 3) % N)
#endif
	od
}

/* When nothing can happen any more. */
active proctype judge()
{
	byte i, j, tokens;

	atomic {
		for (i : 0 .. N - 1) { tree[i] = i }
		holding[0] = true;
		for (i : 0 .. N - 1) { run rank(i) }
	}
	atomic {
		timeout ->
		for (i : 0 .. N - 1) {
			tokens = tokens + holding[i];
			assert(stage[i] != MEETING && empty(kept[i]));
			for (j : 0 .. N - 1) { assert(empty(WIRE(i, j)) && BUFFER(i, j) == 0) }
		}
		assert(tokens == 1);
		for (i : 0 .. N - 1) {
			tokens = 0;
			for (j : 0 .. N - 1) {
				if
				:: j < waiting && ready[j] == i -> tokens++
				:: else
				fi
			}
			assert(tokens == (stage[i] == WAITING))
		}
#if STOPPED < N
		assert(cycle == 0 && events == N - 2 && waiting == N - 1)
#else
		assert(cycle == CYCLES)
#endif
	}
}
