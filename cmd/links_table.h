/* What was measured of links, for people. */
#ifndef DSTRAIN_CMD_LINKS_TABLE_H
#define DSTRAIN_CMD_LINKS_TABLE_H

#include <stdbool.h>

#include "lib/links.h"

struct json;

/* Every pair, a row each; of more than a few hosts, unless `all`, the extremes alone. */
void links_table_pairs(const struct links *links, bool all);
void links_table_segments(const struct links *links);
/* Those whose interval is wider than LINKS_PRECISION, or unknown: nothing if there are none. */
#define LINKS_PRECISION 0.05
void links_table_unsure(const struct links *links);
struct json *links_unsure_json(const struct links *links);
/* What has changed since `before`; says so if nothing has. */
void links_table_changes(const struct links *before, const struct links *links);
struct json *links_changes_json(const struct links *before, const struct links *links);

#endif
