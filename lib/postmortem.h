/* Why a worker ended, in words. */
#ifndef DSTRAIN_LIB_POSTMORTEM_H
#define DSTRAIN_LIB_POSTMORTEM_H

struct buf;
struct channel;

/* "rank 2 on 'node3' was killed by SIGKILL; probably out of memory: it used ..." */
void postmortem_cause(const struct channel *channel, struct buf *out);
/* The last lines of its log, indented, and where the rest is; nothing if it logged nothing. */
void postmortem_log(const struct channel *channel, struct buf *out);

#endif
