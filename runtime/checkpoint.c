/* A rank's part of a checkpoint: made here, stored by the orchestrator. */
#include "runtime/checkpoint.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/safetensors.h"
#include "runtime/coll.h"
#include "runtime/exchange.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outbox.h"
#include "runtime/sync/sync.h"
#include "runtime/transport/transport.h"
#include "runtime/weights.h"

enum { QUEUED_BYTES = 4 << 20 };

/* Peers wait for a rank that sends a checkpoint: where the way out is slow, memory is spent
 * instead. No peer waits longer than the other time. */
#define PATIENT_S      5.0
#define MOST_PATIENT_S 86400.0

/* Arrays under their names, on the way to or from a file. Names are owned. */
struct arrays {
	struct safetensor *entries;
	size_t count;
};

static struct safetensor *add(struct arrays *arrays, const char *prefix, const char *name)
{
	struct safetensor *entry;

	arrays->entries = xrealloc(arrays->entries, arrays->count + 1, sizeof(*arrays->entries));
	entry = &arrays->entries[arrays->count++];
	*entry = (struct safetensor){ .name = xasprintf("%s%s", prefix, name) };
	return entry;
}

/* A block of parameters, as the model's tensors see it. */
static void add_block(struct arrays *arrays, const char *prefix, const struct model *model,
		      const float *block)
{
	size_t count;
	const struct tensor *tensors = model_tensors(model, &count);

	for (size_t i = 0; i < count; i++) {
		struct safetensor *entry = add(arrays, prefix, tensors[i].name);

		memcpy(entry->dim, tensors[i].shape.dim, sizeof(entry->dim));
		entry->rank = tensors[i].shape.rank;
		entry->x = block + tensors[i].offset;
		entry->count = tensors[i].count;
	}
}

static void add_flat(struct arrays *arrays, const char *prefix, const char *name, const float *x,
		     size_t count)
{
	struct safetensor *entry = add(arrays, prefix, name);

	entry->dim[0] = count;
	entry->rank = 1;
	entry->x = x;
	entry->count = count;
}

static void add_slots(struct arrays *arrays, const struct checkpoint_parts *parts)
{
	const char *name;
	float *slot;

	for (size_t i = 0; (slot = optim_slot(parts->optim, i, &name)); i++) {
		char *prefix = xasprintf("%s.", name);

		add_block(arrays, prefix, parts->model, slot);
		free(prefix);
	}
}

/* What this rank alone has. */
static void add_own(struct arrays *arrays, const struct checkpoint_parts *parts)
{
	struct state_array state[STATE_ARRAYS];
	size_t states = sync_state(parts->sync, state);

	for (size_t i = 0; i < states; i++)
		add_flat(arrays, "sync.", state[i].name, state[i].x, state[i].count);
	states = exchange_state(parts->exchange, state);
	for (size_t i = 0; i < states; i++)
		add_flat(arrays, "", state[i].name, state[i].x, state[i].count);
	if (parts->shares)
		add_flat(arrays, "", "shares", parts->shares, parts->world);
	if (!parts->replicated) {
		add_block(arrays, "weight.", parts->model, parts->weight);
		add_slots(arrays, parts);
	}
}

static void arrays_release(struct arrays *arrays)
{
	for (size_t i = 0; i < arrays->count; i++)
		free(arrays->entries[i].name);
	free(arrays->entries);
	*arrays = (struct arrays){ 0 };
}

/* A checkpoint on its way out. */
struct sending {
	struct outbox *outbox;
	unsigned rank;
	size_t step;
	double deadline;
};

/* The next bytes of a file; no more of them wait than QUEUED_BYTES, unless that takes too long. */
static void send_bytes(const struct sending *sending, struct control_chunk *chunk,
		       const void *bytes, size_t length)
{
	for (size_t done = 0; done < length; done += chunk->length) {
		struct buf frame = { 0 };

		chunk->bytes = (const char *)bytes + done;
		chunk->length = length - done;
		if (chunk->length > CONTROL_CHUNK)
			chunk->length = CONTROL_CHUNK;
		control_put_chunk(&frame, sending->rank, chunk);
		outbox_wait(sending->outbox, QUEUED_BYTES, sending->deadline);
		outbox_send(sending->outbox, &frame);
		chunk->offset += chunk->length;
	}
}

/* Sends one file straight from the arrays, and empties `arrays`. */
static void send_file(const struct sending *sending, const char *name, struct arrays *arrays)
{
	struct control_chunk chunk = { .step = sending->step, .name = xstrdup(name) };
	struct buf header = { 0 };

	chunk.size = safetensors_header(&header, arrays->entries, arrays->count);
	chunk.size += header.length;
	send_bytes(sending, &chunk, header.data, header.length);
	for (size_t i = 0; i < arrays->count; i++)
		send_bytes(sending, &chunk, arrays->entries[i].x,
			   arrays->entries[i].count * sizeof(float));
	buf_release(&header);
	free(chunk.name);
	arrays_release(arrays);
}

int checkpoint_save(const struct checkpoint_parts *parts, size_t step, struct net *net,
		    struct outbox *outbox, struct error *err)
{
	struct sending sending = { .outbox = outbox,
				   .rank = (unsigned)net_rank(net),
				   .step = step };
	struct arrays arrays = { 0 };
	struct buf end = { 0 };
	char name[64];
	const float *mean;

	if (sync_mean(parts->sync, parts->weight, &mean, err) < 0)
		return -1;
	/* The previous checkpoint leaves memory first. */
	outbox_wait(outbox, CONTROL_CHUNK, clock_now() + MOST_PATIENT_S);
	sending.deadline = clock_now() + PATIENT_S;
	if (sending.rank == 0) {
		add_block(&arrays, "", parts->model, mean);
		send_file(&sending, "model.safetensors", &arrays);
		add_slots(&arrays, parts);
		send_file(&sending, "optimizer.safetensors", &arrays);
	}
	add_own(&arrays, parts);
	snprintf(name, sizeof(name), "rank-%u.safetensors", sending.rank);
	if (arrays.count)
		send_file(&sending, name, &arrays);
	control_put_number(&end, CONTROL_FILES_END, sending.rank, step);
	outbox_send(outbox, &end);
	return 0;
}

/* Copies the file's arrays over those of `wanted`, which must be there in the same size; all, or
 * only some. */
static int read_file(const struct buf *file, const char *name, struct arrays *wanted, bool all,
		     struct error *err)
{
	struct safetensors read = { 0 };
	int status = safetensors_read(&read, file->data, file->length, err);

	for (size_t i = 0; i < wanted->count && status == 0; i++) {
		const struct safetensor *to = &wanted->entries[i];
		const struct safetensor *from = safetensors_find(&read, to->name);

		if (!from && !all)
			continue;
		if (!from || from->count != to->count)
			status = error_set(err,
					   "no array '%s' of %zu numbers; was the recipe "
					   "changed?",
					   to->name, to->count);
		else /* the arrays were made from pointers that may be written */
			safetensor_floats(from, (float *)(uintptr_t)to->x);
	}
	safetensors_release(&read);
	arrays_release(wanted);
	return status < 0 ? error_prefix(err, "checkpoint file '%s'", name) : 0;
}

int checkpoint_read(const struct checkpoint_parts *parts, const struct checkpoint_files *files,
		    struct error *err)
{
	struct arrays arrays = { 0 };

	if (files->model->length && weights_read(parts->weight, parts->model, files->model->data,
						 files->model->length, err) < 0)
		return error_prefix(err, "checkpoint file 'model.safetensors' (was the recipe "
					 "changed?)");
	if (files->optimizer->length) {
		add_slots(&arrays, parts);
		if (read_file(files->optimizer, "optimizer.safetensors", &arrays, true, err) < 0)
			return -1;
	}
	return 0;
}

int checkpoint_share(const struct checkpoint_parts *parts, struct net *net,
		     const struct group *world, struct error *err)
{
	size_t bytes = model_count(parts->model) * sizeof(float);
	int reader = group_index(world, 0);
	const char *name;
	float *slot;

	if (coll_broadcast(net, world, reader, parts->weight, bytes, err) < 0)
		return -1;
	for (size_t i = 0; (slot = optim_slot(parts->optim, i, &name)); i++)
		if (coll_broadcast(net, world, reader, slot, bytes, err) < 0)
			return -1;
	return 0;
}

int checkpoint_read_own(const struct checkpoint_parts *parts, const struct checkpoint_files *files,
			struct error *err)
{
	struct arrays arrays = { 0 };

	if (files->own->length) {
		add_own(&arrays, parts);
		if (read_file(files->own, "rank-N.safetensors", &arrays, true, err) < 0)
			return -1;
	}
	if (!files->debts->length)
		return 0;
	add_own(&arrays, parts);
	return read_file(files->debts, "rank-N.safetensors", &arrays, false, err);
}
