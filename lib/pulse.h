/* Tells the workers that we live, also while the main thread waits for a disk or a host. */
#ifndef DSTRAIN_LIB_PULSE_H
#define DSTRAIN_LIB_PULSE_H

#include <stddef.h>

struct channel;
struct error;
struct pulse;

/* Of channels[0 .. *count), both borrowed. They are the caller's alone, except between pulse_away
 * and pulse_back. Blocks no signals of the caller's. */
struct pulse *pulse_new(struct channel *channels, const size_t *count, struct error *err);
/* Queues a word for whoever has not been told anything for CONTROL_BEAT_S; returns when the next
 * one is due. */
double pulse_beat(struct pulse *pulse);
void pulse_away(struct pulse *pulse); /* beats go on without the caller */
void pulse_back(struct pulse *pulse);
void pulse_free(struct pulse *pulse); /* may be NULL */

#endif
