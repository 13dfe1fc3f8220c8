/* Sends a checkpoint's files to the workers that go on from it. */
#include "lib/restore.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/channel.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/manifest.h"
#include "lib/memory.h"
#include "lib/pulse.h"
#include "lib/safetensors.h"

/* Of these arrays of ranks only the sum counts: what compression has left out of sums so far, and
 * the momentum of what goes into them. */
static const char *const debts[] = { "residual", "velocity" };

/* Channels are in rank order, and all ranks have one. */
static struct channel *channel_of(struct channel *channels, uint32_t rank)
{
	while (rank - channels->first_rank >= channels->ranks)
		channels++;
	return channels;
}

struct sending {
	struct pulse *pulse;
	const char *dir;
	const struct manifest *manifest;
};

static int read_file(const struct sending *sending, const char *name, struct buf *bytes,
		     struct error *err)
{
	char *path = path_join(sending->dir, name);
	int status;

	pulse_away(sending->pulse);
	status = file_read(bytes, path, SIZE_MAX / 2, err);
	pulse_back(sending->pulse);
	free(path);
	return status;
}

static int send_file(const struct sending *sending, struct channel *channel, uint32_t rank,
		     const char *name, struct error *err)
{
	struct buf bytes = { 0 };
	int status = read_file(sending, name, &bytes, err);

	if (status == 0)
		control_put_file(&channel->out, rank, sending->manifest->step, name, bytes.data,
				 bytes.length);
	buf_release(&bytes);
	return status;
}

/* False: it has none. */
static bool name_own(char name[64], const struct manifest *manifest, uint32_t rank)
{
	snprintf(name, 64, "rank-%u.safetensors", rank);
	return manifest_find(manifest, name);
}

/* Sums of debts, by their place in `debts`; without x there was none. */
struct sums {
	struct safetensor arrays[ARRAY_SIZE(debts)];
	float *x[ARRAY_SIZE(debts)];
};

static int add_array(struct sums *sums, size_t i, const struct safetensor *array, struct error *err)
{
	struct safetensor *sum = &sums->arrays[i];
	float *more;

	if (!sums->x[i]) {
		sums->x[i] = xcalloc(array->count, sizeof(float));
		*sum = *array;
		sum->name = (char *)(uintptr_t)debts[i];
		sum->x = sums->x[i];
	}
	if (array->count != sum->count)
		return error_set(err, "'%s' is of %zu numbers, and of %zu elsewhere", debts[i],
				 array->count, sum->count);
	more = xmalloc(array->count * sizeof(*more));
	safetensor_floats(array, more);
	for (size_t k = 0; k < array->count; k++)
		sums->x[i][k] += more[k];
	free(more);
	return 0;
}

static int add_rank(const struct sending *sending, struct sums *sums, const char *name,
		    struct error *err)
{
	struct safetensors file = { 0 };
	struct buf bytes = { 0 };
	int status = read_file(sending, name, &bytes, err);

	if (status == 0)
		status = safetensors_read(&file, bytes.data, bytes.length, err);
	for (size_t i = 0; i < ARRAY_SIZE(debts) && status == 0; i++) {
		const struct safetensor *array = safetensors_find(&file, debts[i]);

		if (array)
			status = add_array(sums, i, array, err);
	}
	safetensors_release(&file);
	buf_release(&bytes);
	return status < 0 ? error_prefix(err, "checkpoint file '%s'", name) : 0;
}

static void send_sums(const struct sending *sending, struct channel *channel, uint32_t rank,
		      const struct sums *sums)
{
	struct safetensor arrays[ARRAY_SIZE(debts)];
	struct buf bytes = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(debts); i++)
		if (sums->x[i])
			arrays[count++] = sums->arrays[i];
	if (count == 0)
		return;
	safetensors_header(&bytes, arrays, count);
	for (size_t i = 0; i < count; i++)
		buf_add(&bytes, arrays[i].x, arrays[i].count * sizeof(float));
	control_put_file(&channel->out, rank, sending->manifest->step, "debts.safetensors",
			 bytes.data, bytes.length);
	buf_release(&bytes);
}

/* What rank `rank` of `world` gets of the debts of ranks that may be gone. */
static int hand_over(const struct sending *sending, struct channel *channel, uint32_t rank,
		     uint32_t world, struct error *err)
{
	struct sums sums = { 0 };
	int status = 0;
	char name[64];

	for (uint32_t old = rank; old < sending->manifest->world && status == 0; old += world)
		if (name_own(name, sending->manifest, old))
			status = add_rank(sending, &sums, name, err);
	if (status == 0)
		send_sums(sending, channel, rank, &sums);
	for (size_t i = 0; i < ARRAY_SIZE(debts); i++)
		free(sums.x[i]);
	return status;
}

int restore_send(struct channel *channels, uint32_t world, struct pulse *pulse, const char *dir,
		 const struct manifest *manifest, struct error *err)
{
	const struct sending sending = { pulse, dir, manifest };
	int status = 0;

	if (send_file(&sending, channels, 0, "model.safetensors", err) < 0 ||
	    send_file(&sending, channels, 0, "optimizer.safetensors", err) < 0)
		return -1;
	for (uint32_t rank = 0; rank < world && status == 0; rank++) {
		struct channel *channel = channel_of(channels, rank);
		char name[64];

		if (manifest->world != world)
			status = hand_over(&sending, channel, rank, world, err);
		else if (name_own(name, manifest, rank))
			status = send_file(&sending, channel, rank, name, err);
	}
	return status;
}
