/* What comes on the control stream, in pieces; every payload is read as every kind of message. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include "lib/control.h"

static void get_texts(const struct control_frame *frame)
{
	struct control_hello hello;
	struct control_plan plan;
	struct control_address address;
	struct control_failure failure;
	struct control_ready ready;
	struct error err;

	if (control_get_hello(&hello, frame, &err) == 0)
		control_hello_release(&hello);
	if (control_get_plan(&plan, frame, &err) == 0)
		control_plan_release(&plan);
	if (control_get_address(&address, frame, &err) == 0)
		control_address_release(&address);
	if (control_get_failure(&failure, frame, &err) == 0)
		free(failure.text);
	if (control_get_ready(&ready, frame, &err) == 0)
		free(ready.loss);
}

static void get_chunk(const struct control_frame *frame)
{
	struct control_chunk chunk;
	struct error err;

	if (control_get_chunk(&chunk, frame, &err) < 0)
		return;
	assert(!strchr(chunk.name, '/') && strcmp(chunk.name, "..") != 0 && chunk.name[0]);
	assert(chunk.offset + chunk.length <= chunk.size);
	free(chunk.name);
}

static void get_numbers(const struct control_frame *frame)
{
	struct control_address *peers;
	struct control_step step;
	struct control_beat beat;
	struct error err;
	uint64_t number;
	uint32_t count;

	(void)control_get_step(&step, frame, &err);
	(void)control_get_beat(&beat, frame, &err);
	(void)control_get_number(&number, frame, &err);
	if (control_get_peers(&peers, &count, frame, &err) < 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		control_address_release(&peers[i]);
	free(peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct control_reader reader = { 0 };
	struct control_frame frame;
	struct error err;
	int got = 0;

	while (length && got >= 0) {
		size_t piece = 1 + fuzz_byte(&bytes, &length);

		piece = piece < length ? piece : length;
		buf_add(&reader.in, bytes, piece);
		bytes += piece;
		length -= piece;
		while ((got = control_next(&reader, &frame, &err)) > 0) {
			get_texts(&frame);
			get_chunk(&frame);
			get_numbers(&frame);
		}
	}
	control_reader_release(&reader);
	return 0;
}
