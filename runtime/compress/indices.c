/* Rising indices as Rice codes: a difference's high part in unary, its low bits as they are. */
#include "runtime/compress/indices.h"

#include <assert.h>
#include <string.h>

/* Shortest for differences around `mean` if 2^low is at most 0.96 means: one bit more pays from
 * where exp(2^low / mean) is the golden ratio. */
static unsigned low_bits(size_t chosen, size_t count)
{
	double mean = (double)(count - chosen) / (double)chosen;
	unsigned low = 0;

	while ((double)(UINT64_C(2) << low) <= 0.962 * mean)
		low++;
	return low;
}

static bool needs_none(size_t chosen, size_t count)
{
	return chosen == 0 || chosen == count;
}

size_t indices_bound(size_t chosen, size_t count)
{
	unsigned low;

	assert(chosen <= count && count <= UINT32_MAX);
	if (needs_none(chosen, count))
		return 0;
	low = low_bits(chosen, count);
	return (chosen * (low + 1) + ((count - chosen) >> low) + 7) / 8;
}

struct index_writer indices_write(unsigned char *at, size_t chosen, size_t count)
{
	bool silent = needs_none(chosen, count);

	return (struct index_writer){ .at = at,
				      .low = silent ? 0 : low_bits(chosen, count),
				      .silent = silent };
}

/* At most 32 bits. */
static void append(struct index_writer *writer, uint64_t bits, unsigned width)
{
	uint32_t word;

	writer->bits |= bits << writer->filled;
	writer->filled += width;
	if (writer->filled < 32)
		return;
	word = (uint32_t)writer->bits;
	memcpy(writer->at, &word, sizeof(word));
	writer->at += sizeof(word);
	writer->bits >>= 32;
	writer->filled -= 32;
}

void indices_put(struct index_writer *writer, size_t index)
{
	size_t gap = index - writer->next, high = gap >> writer->low;

	assert(index >= writer->next);
	writer->next = index + 1;
	if (writer->silent)
		return;
	for (; high >= 32; high -= 32)
		append(writer, 0, 32);
	append(writer, UINT64_C(1) << high, (unsigned)high + 1);
	append(writer, gap & ((UINT64_C(1) << writer->low) - 1), writer->low);
}

unsigned char *indices_end(struct index_writer *writer)
{
	while (writer->filled > 0) {
		*writer->at++ = (unsigned char)writer->bits;
		writer->bits >>= 8;
		writer->filled -= writer->filled < 8 ? writer->filled : 8;
	}
	return writer->at;
}

struct index_reader indices_read(const unsigned char *bytes, size_t length, size_t chosen,
				 size_t count)
{
	bool silent = needs_none(chosen, count);

	return (struct index_reader){ .at = bytes,
				      .end = bytes + length,
				      .low = silent ? 0 : low_bits(chosen, count),
				      .silent = silent,
				      .count = count };
}

static void refill(struct index_reader *reader)
{
	for (; reader->filled <= 56 && reader->at < reader->end; reader->filled += 8)
		reader->bits |= (uint64_t)*reader->at++ << reader->filled;
}

/* How many zeros there are before the next one, which is taken, too. */
static bool take_high(struct index_reader *reader, uint64_t *high)
{
	unsigned zeros;

	*high = 0;
	refill(reader);
	while (reader->bits == 0) {
		*high += reader->filled;
		reader->filled = 0;
		if (reader->at == reader->end)
			return false;
		refill(reader);
	}
	zeros = (unsigned)__builtin_ctzll(reader->bits);
	*high += zeros;
	reader->bits = reader->bits >> zeros >> 1;
	reader->filled -= zeros + 1;
	return true;
}

bool indices_next(struct index_reader *reader, size_t *index)
{
	uint64_t high = 0, low;

	if (!reader->silent && !take_high(reader, &high))
		return false;
	refill(reader);
	if (reader->filled < reader->low || high > reader->count >> reader->low)
		return false;
	low = reader->bits & ((UINT64_C(1) << reader->low) - 1);
	reader->bits >>= reader->low;
	reader->filled -= reader->low;
	*index = reader->next + (high << reader->low | low);
	reader->next = *index + 1;
	return *index < reader->count;
}

bool indices_ended(const struct index_reader *reader)
{
	return reader->at == reader->end && reader->filled < 8 && reader->bits == 0;
}
