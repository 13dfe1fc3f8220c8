/* Of a run that is about to begin: where it is known from what the links carry. */
#ifndef DSTRAIN_CMD_TRAIN_LINKS_H
#define DSTRAIN_CMD_TRAIN_LINKS_H

struct buf;
struct error;
struct train;

enum train_links { TRAIN_LINKS_NONE, TRAIN_LINKS_FILE, TRAIN_LINKS_PROBE };

enum train_links train_links_source(const struct train *train);
/* Of a file, or of the links that are emulated: fills the roster's links, in the order of the
 * hosts, and says which rank is where. An error is the user's. */
int train_links_read(struct train *train, struct error *err);
/* The same from the file `name` of the run directory. */
int train_links_restore(struct train *train, const char *name, struct error *err);
/* What only a new plan can replace. */
int train_links_file(const struct train *train, const char *name, struct buf *out,
		     struct error *err);

#endif
