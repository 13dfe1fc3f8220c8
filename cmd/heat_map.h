/* A picture of a matrix of rates: rows send, columns receive. */
#ifndef DSTRAIN_CMD_HEAT_MAP_H
#define DSTRAIN_CMD_HEAT_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct links;

/* For a terminal of so many columns. The more ink, the faster; colours say the same. */
void heat_map_print(const struct links *links, size_t width, bool color, struct buf *out);

#endif
