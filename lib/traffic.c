/* What ranks sent each other, and what compression made of it. */
#include "lib/traffic.h"

#include <math.h>
#include <stdio.h>

#include "lib/json.h"
#include "lib/wire.h"

void traffic_add(struct traffic *sum, const struct traffic *traffic)
{
	sum->payload += traffic->payload;
	sum->header += traffic->header;
	sum->control += traffic->control;
	sum->payload_fp32 += traffic->payload_fp32;
	sum->coded += traffic->coded;
	sum->coordinates += traffic->coordinates;
}

struct traffic traffic_between(const struct traffic *before, const struct traffic *after)
{
	return (struct traffic){
		.payload = after->payload - before->payload,
		.header = after->header - before->header,
		.control = after->control - before->control,
		.payload_fp32 = after->payload_fp32 - before->payload_fp32,
		.coded = after->coded - before->coded,
		.coordinates = after->coordinates - before->coordinates,
	};
}

uint64_t traffic_sent(const struct traffic *traffic)
{
	return traffic->payload + traffic->header + traffic->control;
}

double traffic_ratio(const struct traffic *traffic)
{
	if (traffic->payload == 0)
		return NAN;
	return (double)traffic->payload_fp32 / (double)traffic->payload;
}

double traffic_bits(const struct traffic *traffic)
{
	if (traffic->coordinates == 0)
		return 0;
	return 8 * (double)traffic->coded / (double)traffic->coordinates;
}

char *traffic_show_ratio(char *text, size_t size, const struct traffic *traffic)
{
	double ratio = traffic_ratio(traffic);

	text[0] = '\0';
	if (traffic->coordinates == 0 || isnan(ratio))
		return text;
	if (ratio >= 1)
		snprintf(text, size, "x%.1f fewer bytes", ratio);
	else
		snprintf(text, size, "x%.1f more bytes", 1 / ratio);
	return text;
}

void traffic_put(struct buf *out, const struct traffic *traffic)
{
	wire_put_u64(out, traffic->payload);
	wire_put_u64(out, traffic->header);
	wire_put_u64(out, traffic->control);
	wire_put_u64(out, traffic->payload_fp32);
	wire_put_u64(out, traffic->coded);
	wire_put_u64(out, traffic->coordinates);
}

struct traffic traffic_get(struct wire *wire)
{
	struct traffic traffic = { .payload = wire_get_u64(wire) };

	traffic.header = wire_get_u64(wire);
	traffic.control = wire_get_u64(wire);
	traffic.payload_fp32 = wire_get_u64(wire);
	traffic.coded = wire_get_u64(wire);
	traffic.coordinates = wire_get_u64(wire);
	return traffic;
}

void traffic_add_json(struct json *to, const struct traffic *traffic)
{
	json_add_count(to, "bytes_sent", traffic_sent(traffic));
	json_add_count(to, "payload_sent", traffic->payload);
	json_add_count(to, "header_sent", traffic->header);
	json_add_count(to, "control_sent", traffic->control);
	json_add_count(to, "payload_fp32", traffic->payload_fp32);
	json_add_real(to, "compression_ratio", traffic_ratio(traffic));
	if (traffic->coordinates)
		json_add_real(to, "bits_per_coordinate", traffic_bits(traffic));
}
