/* What ranks sent each other, and what compression made of it. */
#ifndef DSTRAIN_LIB_TRAFFIC_H
#define DSTRAIN_LIB_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct json;
struct wire;

/* Bytes, unless said otherwise. */
struct traffic {
	uint64_t payload, header, control; /* sent; what they are: see net_bytes */
	uint64_t payload_fp32;	     /* what the payload would be if no number were compressed */
	uint64_t coded, coordinates; /* messages that a scheme made, of so many numbers */
};

void traffic_add(struct traffic *sum, const struct traffic *traffic);
struct traffic traffic_between(const struct traffic *before, const struct traffic *after);
uint64_t traffic_sent(const struct traffic *traffic); /* payload, headers and control */
/* How many times fewer bytes of payload were sent than without compression: 1 where nothing is
 * compressed; NAN where nothing was sent. */
double traffic_ratio(const struct traffic *traffic);
double traffic_bits(const struct traffic *traffic); /* of a number; 0: nothing was compressed */
/* "x7.9 fewer bytes"; "" where nothing was compressed. Returns text. */
char *traffic_show_ratio(char *text, size_t size, const struct traffic *traffic);
void traffic_put(struct buf *out, const struct traffic *traffic);
struct traffic traffic_get(struct wire *wire);
void traffic_add_json(struct json *to, const struct traffic *traffic);

#endif
