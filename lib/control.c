/* Framed messages between the orchestrator and a worker process. */
#include "lib/control.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { HEADER_BYTES = 12 };

static const unsigned char magic[4] = { 0xd5, 'D', 'S', 0x0a };

void control_put(struct buf *out, enum control_type type, unsigned rank, const void *payload,
		 size_t length)
{
	assert(length <= CONTROL_LARGEST);
	buf_add(out, magic, sizeof(magic));
	wire_put_u16(out, (uint16_t)type);
	wire_put_u16(out, (uint16_t)rank);
	wire_put_bytes(out, payload, length);
}

/* Frames what was written to `payload`, and empties it. */
static void put_payload(struct buf *out, enum control_type type, unsigned rank, struct buf *payload)
{
	control_put(out, type, rank, payload->data, payload->length);
	buf_release(payload);
}

void control_put_hello(struct buf *out, const struct control_hello *hello)
{
	struct buf p = { 0 };

	wire_put_u32(&p, CONTROL_VERSION);
	wire_put_text(&p, hello->release);
	wire_put_text(&p, hello->digest);
	wire_put_text(&p, hello->machine);
	wire_put_text(&p, hello->address);
	wire_put_text(&p, hello->kernel);
	wire_put_u32(&p, hello->pid);
	wire_put_u32(&p, hello->cores);
	wire_put_u64(&p, hello->memory_bytes);
	wire_put_f64(&p, hello->wall_s);
	put_payload(out, CONTROL_HELLO, 0, &p);
}

void control_put_plan(struct buf *out, const struct control_plan *plan)
{
	struct buf p = { .secret = true };

	wire_put_text(&p, plan->recipe);
	wire_put_u64(&p, plan->job);
	wire_put_u64(&p, plan->start_step);
	wire_put_u32(&p, plan->view);
	wire_put_u32(&p, plan->world);
	wire_put_u32(&p, plan->first_rank);
	wire_put_u32(&p, plan->ranks);
	buf_add(&p, plan->key, sizeof(plan->key));
	wire_put_text(&p, plan->network);
	wire_put_text(&p, plan->data_addr);
	wire_put_text(&p, plan->cache_dir);
	wire_put_u32(&p, plan->files);
	for (uint32_t i = 0; i < plan->files; i++) {
		wire_put_text(&p, plan->paths[i]);
		wire_put_text(&p, plan->digests[i]);
	}
	wire_put_u8(&p, plan->loopback_allowed);
	wire_put_text(&p, plan->bench.collective);
	wire_put_u64(&p, plan->bench.first_bytes);
	wire_put_u64(&p, plan->bench.last_bytes);
	wire_put_u64(&p, plan->bench.factor);
	wire_put_u64(&p, plan->bench.iterations);
	wire_put_text(&p, plan->probe);
	wire_put_text(&p, plan->plan);
	put_payload(out, CONTROL_PLAN, plan->first_rank, &p);
}

static void put_one_address(struct buf *p, const struct control_address *address)
{
	wire_put_text(p, address->host);
	wire_put_text(p, address->address);
	wire_put_u16(p, address->port);
}

void control_put_address(struct buf *out, unsigned rank, const struct control_address *address)
{
	struct buf p = { 0 };

	put_one_address(&p, address);
	put_payload(out, CONTROL_LISTENING, rank, &p);
}

void control_put_peers(struct buf *out, const struct control_address *peers, uint32_t count)
{
	struct buf p = { 0 };

	wire_put_u32(&p, count);
	for (uint32_t i = 0; i < count; i++)
		put_one_address(&p, &peers[i]);
	put_payload(out, CONTROL_PEERS, 0, &p);
}

void control_put_ready(struct buf *out, unsigned rank, const struct control_ready *ready)
{
	struct buf p = { 0 };

	wire_put_u64(&p, ready->parameters);
	wire_put_u64(&p, ready->samples);
	wire_put_u64(&p, ready->test_samples);
	wire_put_u64(&p, ready->steps);
	wire_put_u64(&p, ready->steps_per_epoch);
	wire_put_text(&p, ready->loss);
	wire_put_u8(&p, ready->accuracy);
	wire_put_u64(&p, ready->labels);
	wire_put_u8(&p, ready->asynchronous);
	put_payload(out, CONTROL_READY, rank, &p);
}

void control_put_step(struct buf *out, enum control_type type, unsigned rank,
		      const struct control_step *step)
{
	struct buf p = { 0 };

	wire_put_u64(&p, step->step);
	wire_put_f64(&p, step->loss_sum);
	wire_put_f64(&p, step->lr);
	wire_put_f64(&p, step->gradient_norm);
	wire_put_u64(&p, step->correct);
	wire_put_u64(&p, step->count);
	wire_put_f64(&p, step->data_s);
	wire_put_f64(&p, step->compute_s);
	wire_put_f64(&p, step->comm_s);
	wire_put_f64(&p, step->exposed_comm_s);
	wire_put_f64(&p, step->step_s);
	traffic_put(&p, &step->traffic);
	wire_put_f64(&p, step->level);
	drift_put(&p, &step->drift);
	put_payload(out, type, rank, &p);
}

void control_put_number(struct buf *out, enum control_type type, unsigned rank, uint64_t number)
{
	struct buf p = { 0 };

	wire_put_u64(&p, number);
	put_payload(out, type, rank, &p);
}

void control_put_chunk(struct buf *out, unsigned rank, const struct control_chunk *chunk)
{
	struct buf p = { 0 };

	wire_put_u64(&p, chunk->step);
	wire_put_u64(&p, chunk->size);
	wire_put_u64(&p, chunk->offset);
	wire_put_text(&p, chunk->name);
	wire_put_bytes(&p, chunk->bytes, chunk->length);
	put_payload(out, CONTROL_FILE, rank, &p);
}

void control_put_file(struct buf *out, unsigned rank, uint64_t step, const char *name,
		      const void *bytes, size_t length)
{
	char *copy = xstrdup(name);
	struct control_chunk chunk = { .step = step, .size = length, .name = copy };

	do {
		chunk.bytes = (const char *)bytes + chunk.offset;
		chunk.length = length - chunk.offset;
		if (chunk.length > CONTROL_CHUNK)
			chunk.length = CONTROL_CHUNK;
		control_put_chunk(out, rank, &chunk);
		chunk.offset += chunk.length;
	} while (chunk.offset < length);
	free(copy);
}

void control_put_failure(struct buf *out, unsigned rank, const struct control_failure *failure)
{
	struct buf p = { 0 };

	wire_put_u8(&p, failure->lost_peer);
	wire_put_text(&p, failure->text);
	put_payload(out, CONTROL_FAILED, rank, &p);
}

void control_put_beat(struct buf *out, const struct control_beat *beat)
{
	struct buf p = { 0 };

	wire_put_u64(&p, beat->resident_bytes);
	wire_put_u64(&p, beat->available_bytes);
	put_payload(out, CONTROL_BEAT, 0, &p);
}

void control_put_row(struct buf *out, unsigned rank, const struct control_row *row)
{
	struct buf p = { 0 };

	wire_put_u64(&p, row->bytes);
	wire_put_u64(&p, row->count);
	wire_put_u64(&p, row->iterations);
	wire_put_u64(&p, row->wrong);
	wire_put_f64(&p, row->seconds);
	put_payload(out, CONTROL_ROW, rank, &p);
}

void control_put_survey(struct buf *out, unsigned rank, const char *text)
{
	struct buf p = { 0 };

	wire_put_text(&p, text);
	put_payload(out, CONTROL_SURVEY, rank, &p);
}

static struct wire reader_of(const struct control_frame *frame)
{
	return wire_reader(frame->payload, frame->length);
}

/* The end of every control_get: nothing missing, nothing left over. */
static int check_end(const struct wire *wire, const struct control_frame *frame, struct error *err)
{
	if (wire->failed || wire->left)
		return error_set(err, "malformed control message of type %d", (int)frame->type);
	return 0;
}

int control_get_hello(struct control_hello *out, const struct control_frame *frame,
		      struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_hello hello = { .version = wire_get_u32(&wire) };

	hello.release = wire_get_text(&wire);
	if (hello.version != CONTROL_VERSION) {
		error_set(err,
			  "another dstrain runs there: release %s speaks control protocol %u, "
			  "release %s here speaks %u",
			  hello.release, hello.version, DSTRAIN_VERSION, (unsigned)CONTROL_VERSION);
		free(hello.release);
		return -1;
	}
	hello.digest = wire_get_text(&wire);
	hello.machine = wire_get_text(&wire);
	hello.address = wire_get_text(&wire);
	hello.kernel = wire_get_text(&wire);
	hello.pid = wire_get_u32(&wire);
	hello.cores = wire_get_u32(&wire);
	hello.memory_bytes = wire_get_u64(&wire);
	hello.wall_s = wire_get_f64(&wire);
	if (check_end(&wire, frame, err) < 0) {
		control_hello_release(&hello);
		return -1;
	}
	*out = hello;
	return 0;
}

static void get_files(struct control_plan *plan, struct wire *wire)
{
	uint32_t files = wire_get_u32(wire);

	for (uint32_t i = 0; i < files && !wire->failed; i++) {
		plan->paths = xrealloc(plan->paths, i + 1, sizeof(*plan->paths));
		plan->digests = xrealloc(plan->digests, i + 1, sizeof(*plan->digests));
		plan->paths[i] = wire_get_text(wire);
		plan->digests[i] = wire_get_text(wire);
		plan->files = i + 1;
	}
}

int control_get_plan(struct control_plan *out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_plan plan = { .recipe = wire_get_text(&wire) };

	plan.job = wire_get_u64(&wire);
	plan.start_step = wire_get_u64(&wire);
	plan.view = wire_get_u32(&wire);
	plan.world = wire_get_u32(&wire);
	plan.first_rank = wire_get_u32(&wire);
	plan.ranks = wire_get_u32(&wire);
	for (size_t i = 0; i < sizeof(plan.key); i++)
		plan.key[i] = wire_get_u8(&wire);
	plan.network = wire_get_text(&wire);
	plan.data_addr = wire_get_text(&wire);
	plan.cache_dir = wire_get_text(&wire);
	get_files(&plan, &wire);
	plan.loopback_allowed = wire_get_u8(&wire) != 0;
	plan.bench.collective = wire_get_text(&wire);
	plan.bench.first_bytes = wire_get_u64(&wire);
	plan.bench.last_bytes = wire_get_u64(&wire);
	plan.bench.factor = wire_get_u64(&wire);
	plan.bench.iterations = wire_get_u64(&wire);
	plan.probe = wire_get_text(&wire);
	plan.plan = wire_get_text(&wire);
	if (check_end(&wire, frame, err) < 0) {
		control_plan_release(&plan);
		return -1;
	}
	*out = plan;
	memory_wipe(plan.key, sizeof(plan.key));
	return 0;
}

static struct control_address get_one_address(struct wire *wire)
{
	struct control_address address = { .host = wire_get_text(wire) };

	address.address = wire_get_text(wire);
	address.port = wire_get_u16(wire);
	return address;
}

int control_get_address(struct control_address *out, const struct control_frame *frame,
			struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_address address = get_one_address(&wire);

	if (check_end(&wire, frame, err) < 0) {
		control_address_release(&address);
		return -1;
	}
	*out = address;
	return 0;
}

int control_get_peers(struct control_address **out, uint32_t *count,
		      const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	uint32_t wanted = wire_get_u32(&wire), got = 0;
	struct control_address *peers = NULL;

	for (; got < wanted && !wire.failed; got++) {
		peers = xrealloc(peers, got + 1, sizeof(*peers));
		peers[got] = get_one_address(&wire);
	}
	if (check_end(&wire, frame, err) < 0) {
		while (got > 0)
			control_address_release(&peers[--got]);
		free(peers);
		return -1;
	}
	*out = peers;
	*count = got;
	return 0;
}

int control_get_ready(struct control_ready *out, const struct control_frame *frame,
		      struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_ready ready = { .parameters = wire_get_u64(&wire) };

	ready.samples = wire_get_u64(&wire);
	ready.test_samples = wire_get_u64(&wire);
	ready.steps = wire_get_u64(&wire);
	ready.steps_per_epoch = wire_get_u64(&wire);
	ready.loss = wire_get_text(&wire);
	ready.accuracy = wire_get_u8(&wire) != 0;
	ready.labels = wire_get_u64(&wire);
	ready.asynchronous = wire_get_u8(&wire) != 0;
	if (check_end(&wire, frame, err) < 0) {
		free(ready.loss);
		return -1;
	}
	*out = ready;
	return 0;
}

int control_get_step(struct control_step *out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_step step = { .step = wire_get_u64(&wire) };

	step.loss_sum = wire_get_f64(&wire);
	step.lr = wire_get_f64(&wire);
	step.gradient_norm = wire_get_f64(&wire);
	step.correct = wire_get_u64(&wire);
	step.count = wire_get_u64(&wire);
	step.data_s = wire_get_f64(&wire);
	step.compute_s = wire_get_f64(&wire);
	step.comm_s = wire_get_f64(&wire);
	step.exposed_comm_s = wire_get_f64(&wire);
	step.step_s = wire_get_f64(&wire);
	step.traffic = traffic_get(&wire);
	step.level = wire_get_f64(&wire);
	step.drift = drift_get(&wire);
	if (check_end(&wire, frame, err) < 0)
		return -1;
	*out = step;
	return 0;
}

int control_get_number(uint64_t *out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	uint64_t number = wire_get_u64(&wire);

	if (check_end(&wire, frame, err) < 0)
		return -1;
	*out = number;
	return 0;
}

/* A name that stays within its directory, and does nothing to a terminal. */
static bool is_plain_name(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "._-";

	return name[0] && name[0] != '.' && strlen(name) < 128 &&
	       strspn(name, plain) == strlen(name);
}

int control_get_chunk(struct control_chunk *out, const struct control_frame *frame,
		      struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_chunk chunk = { .step = wire_get_u64(&wire) };

	chunk.size = wire_get_u64(&wire);
	chunk.offset = wire_get_u64(&wire);
	chunk.name = wire_get_text(&wire);
	chunk.bytes = wire_get_bytes(&wire, &chunk.length);
	if (!is_plain_name(chunk.name) || chunk.offset > chunk.size ||
	    chunk.length > chunk.size - chunk.offset)
		wire.failed = true;
	if (check_end(&wire, frame, err) < 0) {
		free(chunk.name);
		return -1;
	}
	*out = chunk;
	return 0;
}

int control_get_failure(struct control_failure *out, const struct control_frame *frame,
			struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_failure failure = { .lost_peer = wire_get_u8(&wire) != 0 };

	failure.text = wire_get_text(&wire);
	if (check_end(&wire, frame, err) < 0) {
		free(failure.text);
		return -1;
	}
	*out = failure;
	return 0;
}

int control_get_beat(struct control_beat *out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_beat beat = { .resident_bytes = wire_get_u64(&wire) };

	beat.available_bytes = wire_get_u64(&wire);
	if (check_end(&wire, frame, err) < 0)
		return -1;
	*out = beat;
	return 0;
}

int control_get_row(struct control_row *out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	struct control_row row = { .bytes = wire_get_u64(&wire) };

	row.count = wire_get_u64(&wire);
	row.iterations = wire_get_u64(&wire);
	row.wrong = wire_get_u64(&wire);
	row.seconds = wire_get_f64(&wire);
	if (check_end(&wire, frame, err) < 0)
		return -1;
	*out = row;
	return 0;
}

int control_get_survey(char **out, const struct control_frame *frame, struct error *err)
{
	struct wire wire = reader_of(frame);
	char *text = wire_get_text(&wire);

	if (check_end(&wire, frame, err) < 0) {
		free(text);
		return -1;
	}
	*out = text;
	return 0;
}

void control_hello_release(struct control_hello *hello)
{
	free(hello->release);
	free(hello->digest);
	free(hello->machine);
	free(hello->address);
	free(hello->kernel);
	*hello = (struct control_hello){ 0 };
}

void control_plan_release(struct control_plan *plan)
{
	memory_wipe(plan->key, sizeof(plan->key));
	for (uint32_t i = 0; i < plan->files; i++) {
		free(plan->paths[i]);
		free(plan->digests[i]);
	}
	free(plan->paths);
	free(plan->digests);
	free(plan->recipe);
	free(plan->network);
	free(plan->data_addr);
	free(plan->cache_dir);
	free(plan->bench.collective);
	free(plan->probe);
	free(plan->plan);
	*plan = (struct control_plan){ 0 };
}

void control_address_release(struct control_address *address)
{
	free(address->host);
	free(address->address);
	*address = (struct control_address){ 0 };
}

/* Drops what a login shell printed before the first frame. */
static void skip_noise(struct control_reader *reader)
{
	struct buf *in = &reader->in;
	size_t at = 0;

	while (at < in->length) {
		size_t left = in->length - at;
		size_t compared = left < sizeof(magic) ? left : sizeof(magic);

		if (memcmp(in->data + at, magic, compared) == 0)
			break;
		at++;
	}
	buf_consume(in, at);
}

/* Many small frames may wait: what is done with goes by halves, so that few bytes are moved. */
static void leave_behind(struct control_reader *reader)
{
	struct buf *in = &reader->in;

	reader->from += reader->taken;
	reader->taken = 0;
	if (!in->secret && reader->from < in->length - reader->from)
		return;
	buf_consume(in, reader->from);
	reader->from = 0;
}

int control_next(struct control_reader *reader, struct control_frame *frame, struct error *err)
{
	struct buf *in = &reader->in;
	const char *start;
	struct wire wire;
	uint32_t length;
	size_t left;

	leave_behind(reader);
	if (!reader->begun)
		skip_noise(reader);
	left = in->length - reader->from;
	if (left < HEADER_BYTES)
		return 0;
	reader->begun = true;
	start = in->data + reader->from;
	wire = wire_reader(start + sizeof(magic), HEADER_BYTES - sizeof(magic));
	frame->type = (enum control_type)wire_get_u16(&wire);
	frame->rank = wire_get_u16(&wire);
	length = wire_get_u32(&wire);
	if (memcmp(start, magic, sizeof(magic)) != 0 || length > CONTROL_LARGEST ||
	    frame->type == 0 || frame->type >= CONTROL_TYPES)
		return error_set(err, "the control stream is not dstrain's");
	if (left - HEADER_BYTES < length)
		return 0;
	frame->payload = start + HEADER_BYTES;
	frame->length = length;
	reader->taken = HEADER_BYTES + length;
	return 1;
}

void control_reader_release(struct control_reader *reader)
{
	buf_release(&reader->in);
	*reader = (struct control_reader){ 0 };
}
