/* Why a worker ended, in words. */
#define _GNU_SOURCE /* sigabbrev_np */
#include "lib/postmortem.h"

#include <signal.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/hosts.h"
#include "lib/units.h"

static void add_memory(const struct channel *channel, struct buf *out)
{
	const struct control_beat *beat = &channel->beat;
	char used[32], total[32], available[32];
	/* What it may have grown by since it last said how much it uses. */
	uint64_t scarce = channel->hello.memory_bytes / 10 + 2 * beat->resident_bytes;

	if (!beat->resident_bytes)
		return;
	buf_addf(out, "%s: it used %s; %s of the %s it may use were left",
		 beat->available_bytes < scarce ? "; probably out of memory"
						: ", by hand or by another program",
		 units_show_bytes(used, sizeof(used), (double)beat->resident_bytes),
		 units_show_bytes(available, sizeof(available), (double)beat->available_bytes),
		 units_show_bytes(total, sizeof(total), (double)channel->hello.memory_bytes));
}

static void add_signal(const struct channel *channel, struct buf *out)
{
	int number = channel->status.signal;
	const char *name = sigabbrev_np(number);

	buf_addf(out, " %s killed by SIG%s (%d)", channel->ranks > 1 ? "were" : "was",
		 name ? name : "?", number);
	if (number == SIGKILL)
		add_memory(channel, out);
	else if (number == SIGBUS)
		buf_addf(out, "; /dev/shm or a disk may be full");
	else if (number == SIGILL)
		buf_addf(out, "; its processor lacks an instruction");
}

void postmortem_cause(const struct channel *channel, struct buf *out)
{
	const struct process_status *status = &channel->status;

	if (channel->ranks > 1)
		buf_addf(out, "ranks %u to %u on '%s'", channel->first_rank,
			 channel->first_rank + channel->ranks - 1, channel->host->name);
	else
		buf_addf(out, "rank %u on '%s'", channel->first_rank, channel->host->name);
	if (!channel->gone)
		buf_addf(out, " did not answer for %.0f seconds", channel_patience(channel));
	else if (status->reason[0])
		buf_addf(out, " is lost: %s", status->reason);
	else if (status->exited && status->code == 127)
		buf_addf(out, " could not be started (exit status 127)");
	else if (status->exited)
		buf_addf(out, " ended with exit status %d", status->code);
	else if (status->signal)
		add_signal(channel, out);
	else
		buf_addf(out, " is lost: its connection was closed");
}

void postmortem_log(const struct channel *channel, struct buf *out)
{
	if (!channel->tail[CHANNEL_TAIL - 1])
		return;
	if (channel->log_path)
		buf_addf(out, "last lines of %s:\n", channel->log_path);
	else
		buf_addf(out, "last lines of rank %u on '%s':\n", channel->first_rank,
			 channel->host->name);
	for (size_t i = 0; i < CHANNEL_TAIL; i++)
		if (channel->tail[i])
			buf_addf(out, "  %s\n", channel->tail[i]);
}
