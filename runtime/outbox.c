/* A worker's way out: frames are queued by any thread and written to stdout by one of its own. */
#include "runtime/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

struct outbox {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct buf queue;     /* lock */
	size_t being_written; /* lock */
};

/* Runs as long as the process: when nobody reads any more, the worker has no reason to live. */
static void *write_out(void *arg)
{
	struct outbox *outbox = arg;

	for (;;) {
		struct buf batch;
		int failed;

		pthread_mutex_lock(&outbox->lock);
		while (outbox->queue.length == 0)
			pthread_cond_wait(&outbox->changed, &outbox->lock);
		batch = outbox->queue;
		outbox->queue = (struct buf){ 0 };
		outbox->being_written = batch.length;
		pthread_mutex_unlock(&outbox->lock);

		failed = file_write_all(outbox->fd, batch.data, batch.length);
		buf_release(&batch);
		if (failed)
			_exit(1);

		pthread_mutex_lock(&outbox->lock);
		outbox->being_written = 0;
		pthread_cond_broadcast(&outbox->changed);
		pthread_mutex_unlock(&outbox->lock);
	}
	return NULL;
}

struct outbox *outbox_new(int fd, struct error *err)
{
	struct outbox *outbox = xcalloc(1, sizeof(*outbox));
	pthread_t writer;
	int problem;

	outbox->fd = fd;
	pthread_mutex_init(&outbox->lock, NULL);
	clock_cond_init(&outbox->changed);
	problem = pthread_create(&writer, NULL, write_out, outbox);
	if (problem) {
		error_set(err, "cannot start a thread: %s", strerror(problem));
		free(outbox);
		return NULL;
	}
	pthread_detach(writer);
	return outbox;
}

void outbox_send(struct outbox *outbox, struct buf *frames)
{
	pthread_mutex_lock(&outbox->lock);
	buf_add(&outbox->queue, frames->data, frames->length);
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
	buf_release(frames);
}

void outbox_wait(struct outbox *outbox, size_t bytes, double deadline)
{
	struct timespec until = clock_timespec(deadline);
	int status = 0;

	pthread_mutex_lock(&outbox->lock);
	while (outbox->queue.length + outbox->being_written > bytes && status != ETIMEDOUT)
		status = pthread_cond_timedwait(&outbox->changed, &outbox->lock, &until);
	pthread_mutex_unlock(&outbox->lock);
}
