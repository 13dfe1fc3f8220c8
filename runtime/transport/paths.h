/*
 * Messages under way on emulated links: a fluid model in the time that it is told. Between two
 * ranks messages queue; the rates of all pairs with bytes to send are max-min fair (lib/flow.h);
 * what has left arrives after the pair's delay. Knows no threads and no clock.
 */
#ifndef DSTRAIN_RUNTIME_PATHS_H
#define DSTRAIN_RUNTIME_PATHS_H

#include <stdbool.h>
#include <stddef.h>

struct links;
struct links_script;
struct paths;

/* A message. The caller owns it, and leaves it alone from paths_post until it arrived. */
struct parcel {
	struct parcel *next;
	int from, to; /* ranks */
	size_t bytes;
	double arrives_at; /* once its bytes have left */
	bool left;
};

struct parcels {
	struct parcel *first, *last;
};
struct parcel *parcels_take(struct parcels *parcels); /* the first; NULL: none */

/* Rank r is on host host_of[r]. All copied; the script begins at the time `now`. `left` is called
 * for each parcel whose bytes have left, which is before or as it arrives. */
typedef void paths_left(void *arg, struct parcel *parcel);
struct paths *paths_new(const struct links *links, const struct links_script *script,
			const int *host_of, int world, double now, paths_left *left, void *arg);
void paths_free(struct paths *paths); /* may be NULL */

double paths_delay(const struct paths *paths, int from, int to); /* seconds, one way */

/* Times never go back. True: something may happen sooner than paths_next said before. */
bool paths_post(struct paths *paths, struct parcel *parcel, double now);
double paths_next(const struct paths *paths); /* when something happens; INFINITY: never */
/* All that happens until then; adds to `arrived`. */
void paths_advance(struct paths *paths, double now, struct parcels *arrived);
/* Takes a message back; false: it has arrived. */
bool paths_remove(struct paths *paths, struct parcel *parcel, double now);

#endif
