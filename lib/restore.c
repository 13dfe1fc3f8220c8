/* Sends a checkpoint's files to the workers that go on from it. */
#include "lib/restore.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/channel.h"
#include "lib/control.h"
#include "lib/file.h"
#include "lib/manifest.h"
#include "lib/pulse.h"

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

static int send_file(const struct sending *sending, struct channel *channel, uint32_t rank,
		     const char *name, struct error *err)
{
	char *path = path_join(sending->dir, name);
	struct buf bytes = { 0 };
	int status;

	pulse_away(sending->pulse);
	status = file_read(&bytes, path, SIZE_MAX / 2, err);
	pulse_back(sending->pulse);
	if (status == 0)
		control_put_file(&channel->out, rank, sending->manifest->step, name, bytes.data,
				 bytes.length);
	buf_release(&bytes);
	free(path);
	return status;
}

int restore_send(struct channel *channels, uint32_t world, struct pulse *pulse, const char *dir,
		 const struct manifest *manifest, struct error *err)
{
	const struct sending sending = { pulse, dir, manifest };

	if (send_file(&sending, channels, 0, "model.safetensors", err) < 0 ||
	    send_file(&sending, channels, 0, "optimizer.safetensors", err) < 0)
		return -1;
	for (uint32_t rank = 0; rank < world && manifest->world == world; rank++) {
		char name[64];

		snprintf(name, sizeof(name), "rank-%u.safetensors", rank);
		if (manifest_find(manifest, name) &&
		    send_file(&sending, channel_of(channels, rank), rank, name, err) < 0)
			return -1;
	}
	return 0;
}
