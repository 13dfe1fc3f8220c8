/* The ranks of a host meet: all of them share memory, or none does. */
#include "tests/unit/unit.h"

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "runtime/transport/host.h"
#include "runtime/transport/pipe.h"
#include "runtime/transport/transport.h"
#include "tests/unit/scratch.h"

enum { WORLD = 4 };

/* A run whose ranks are threads; they talk through socket pairs. */
struct run {
	struct net_peer peers[WORLD];
	struct net_env env[WORLD];
	struct host_memory *memory[WORLD];
	int status[WORLD];
	int to[WORLD][WORLD];
	int misled; /* the rank that is told another path, or -1 */
	int mute;   /* the rank whose link fails, or -1 */
	pthread_t threads[WORLD];
};

struct rank {
	struct run *run;
	int rank;
};

static int tell(void *arg, int peer, const void *bytes, size_t length, struct error *err)
{
	struct rank *self = arg;

	if (self->rank == self->run->mute)
		return error_set(err, "cannot speak");
	assert(send(self->run->to[self->rank][peer], bytes, length, MSG_NOSIGNAL) ==
	       (ssize_t)length);
	return 0;
}

static int hear(void *arg, int peer, void *bytes, size_t length, struct error *err)
{
	struct rank *self = arg;
	struct pollfd there = { .fd = self->run->to[self->rank][peer], .events = POLLIN };
	double timeout_s = self->run->env[0].timeout_s;
	char *slash;

	if (poll(&there, 1, (int)(timeout_s * 1000)) != 1)
		return error_set(err, "heard nothing");
	assert(recv(there.fd, bytes, length, 0) == (ssize_t)length);
	slash = self->rank == self->run->misled ? memchr(bytes, '/', length) : NULL;
	if (slash)
		slash[1] ^= 1;
	return 0;
}

/* Hosts as letters: "aaba". */
static void run_init(struct run *run, const char *hosts, uint64_t job)
{
	static const char *const names[] = { "node-a", "node-b" };

	*run = (struct run){ .misled = -1, .mute = -1 };
	for (int r = 0; r < WORLD; r++) {
		run->peers[r] = (struct net_peer){ .host = names[hosts[r] - 'a'], .address = "" };
		run->env[r] = (struct net_env){ .rank = r,
						.world = WORLD,
						.job = job,
						.view = 3,
						.peers = run->peers,
						.timeout_s = 60 };
		memset(run->env[r].key, 0x5a, sizeof(run->env[r].key));
		for (int other = 0; other < r; other++) {
			int pair[2];

			assert(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
			run->to[r][other] = pair[0];
			run->to[other][r] = pair[1];
		}
	}
}

static void *meet(void *arg)
{
	struct rank *self = arg;
	const struct host_link link = { tell, hear, self };
	struct error err;

	self->run->status[self->rank] =
		host_meet(&self->run->memory[self->rank], &self->run->env[self->rank], &link, &err);
	return NULL;
}

/* All of them, at once. */
static void runs_meet(struct run *runs, int count)
{
	struct rank ranks[2][WORLD];

	assert(count <= 2);
	for (int i = 0; i < count * WORLD; i++) {
		struct rank *rank = &ranks[i / WORLD][i % WORLD];

		*rank = (struct rank){ .run = &runs[i / WORLD], .rank = i % WORLD };
		assert(pthread_create(&rank->run->threads[rank->rank], NULL, meet, rank) == 0);
	}
	for (int i = 0; i < count * WORLD; i++)
		pthread_join(runs[i / WORLD].threads[i % WORLD], NULL);
}

static void run_release(struct run *run)
{
	for (int r = 0; r < WORLD; r++) {
		host_free(run->memory[r]);
		for (int other = 0; other < WORLD; other++)
			if (other != r)
				close(run->to[r][other]);
	}
}

static void nobody_shares(struct run *run)
{
	for (int r = 0; r < WORLD; r++) {
		assert_int_equal(run->status[r], 0);
		assert_null(run->memory[r]);
	}
}

static void everybody_shares(struct run *run)
{
	for (int r = 0; r < WORLD; r++) {
		assert_int_equal(run->status[r], 0);
		assert_non_null(run->memory[r]);
		assert_int_equal(host_shared(run->memory[r])->count, WORLD);
	}
	host_shared(run->memory[0])->bytes[17] = 99;
	for (int r = 0; r < WORLD; r++)
		assert_int_equal(host_shared(run->memory[r])->bytes[17], 99);
}

static size_t entries_of(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static int make_runtime_dir(void **state)
{
	char *here;

	if (scratch_make(state) < 0 || mkdir("runtime", 0700) < 0)
		return -1;
	here = path_absolute("runtime");
	setenv("XDG_RUNTIME_DIR", here, 1);
	free(here);
	return 0;
}

static void talk(struct run *run, int from, int to)
{
	struct pipe_end in, out, unused;
	char got[6] = "", hello[6] = "hello";
	struct iovec part = { hello, 6 };
	struct error err;

	assert_true(host_pipes(run->memory[from], to, &unused, &out));
	assert_true(host_pipes(run->memory[to], from, &in, &unused));
	pipe_sleeps(host_sleeper(run->memory[to]), PIPE_LEADER);
	assert_int_equal(pipe_write(&out, &part, 1, &err), 6);
	assert_int_equal(
		poll(&(struct pollfd){ .fd = host_bell(run->memory[to]), .events = POLLIN }, 1, 0),
		1);
	pipe_awake(host_sleeper(run->memory[to]), PIPE_LEADER);
	pipe_answer(host_sleeper(run->memory[to]), host_bell(run->memory[to]));
	assert_int_equal(pipe_read(&in, got, 6, &err), 6);
	assert_string_equal(got, "hello");
}

static void ranks_of_one_host_share_memory_and_the_others_do_not(void **state)
{
	size_t before = entries_of("/proc/self/fd");
	struct pipe_end in, out;
	struct run run;

	(void)state;
	run_init(&run, "abaa", 1);
	runs_meet(&run, 1);
	assert_null(run.memory[1]);
	for (int r = 0; r < WORLD; r++) {
		const struct net_shared *shared;

		assert_int_equal(run.status[r], 0);
		if (r == 1)
			continue;
		shared = host_shared(run.memory[r]);
		assert_int_equal(shared->count, 3);
		assert_int_equal(shared->places[0], 0);
		assert_int_equal(shared->places[1], -1);
		assert_int_equal(shared->places[3], 2);
		assert_int_equal((uintptr_t)shared->bytes % 4096, 0);
		assert_int_equal(shared->bytes[3 * NET_PLACE_BYTES - 1], 0);
		assert_false(host_pipes(run.memory[r], 1, &in, &out));
		assert_false(host_pipes(run.memory[r], r, &in, &out));
	}
	host_shared(run.memory[0])->bytes[2 * NET_PLACE_BYTES] = 7;
	assert_int_equal(host_shared(run.memory[3])->bytes[2 * NET_PLACE_BYTES], 7);
	for (int from = 0; from < WORLD; from++)
		for (int to = 0; to < WORLD; to++)
			if (from != to && from != 1 && to != 1)
				talk(&run, from, to);
	run_release(&run);
	assert_int_equal(entries_of("/proc/self/fd"), before);
	assert_int_equal(entries_of("runtime"), 2); /* nothing is left behind */
}

static void one_that_cannot_get_there_keeps_all_from_sharing(void **state)
{
	struct run run;

	(void)state;
	for (int misled = 1; misled < WORLD; misled++) {
		run_init(&run, "aaaa", 1);
		run.misled = misled;
		runs_meet(&run, 1);
		nobody_shares(&run);
		run_release(&run);
	}
	assert_int_equal(entries_of("runtime"), 2);
}

static void one_with_another_key_keeps_all_from_sharing(void **state)
{
	struct run run;

	(void)state;
	for (int other = 0; other < WORLD; other++) {
		run_init(&run, "aaaa", 1);
		run.env[other].key[3] ^= 1;
		runs_meet(&run, 1);
		nobody_shares(&run);
		run_release(&run);
	}
}

static void without_memory_nobody_shares(void **state)
{
	struct rlimit limit, small;
	struct run run;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	run_init(&run, "aaaa", 1);
	runs_meet(&run, 1);
	setrlimit(RLIMIT_FSIZE, &limit);
	nobody_shares(&run);
	run_release(&run);
}

static void a_link_that_fails_is_a_failure_and_not_a_hang(void **state)
{
	double start = clock_now();
	struct run run;

	(void)state;
	run_init(&run, "aaaa", 1);
	run.mute = 2;
	for (int r = 0; r < WORLD; r++)
		run.env[r].timeout_s = 0.2;
	runs_meet(&run, 1);
	for (int r = 0; r < WORLD; r++) {
		assert_int_equal(run.status[r], -1);
		assert_null(run.memory[r]);
	}
	assert_true(clock_now() - start < 30);
	run_release(&run);
}

static void two_runs_at_once_do_not_meet(void **state)
{
	struct run runs[2];

	(void)state;
	run_init(&runs[0], "aaaa", 1);
	run_init(&runs[1], "aaaa", 2);
	runs_meet(runs, 2);
	everybody_shares(&runs[0]);
	assert_int_equal(host_shared(runs[1].memory[2])->bytes[17], 0);
	everybody_shares(&runs[1]);
	run_release(&runs[0]);
	run_release(&runs[1]);
	assert_int_equal(entries_of("runtime"), 2);
}

static void what_a_dead_run_left_behind_does_not_disturb(void **state)
{
	static const char stale[] = "runtime/dstrain/0000000000000001-3-0";
	struct run run;

	(void)state;
	assert_int_equal(mkdir("runtime/dstrain", 0700), 0);
	close(open(stale, O_CREAT | O_WRONLY, 0600));
	run_init(&run, "aaaa", 1);
	runs_meet(&run, 1);
	everybody_shares(&run);
	assert_false(file_exists(stale));
	run_release(&run);
}

/* Where XDG_RUNTIME_DIR cannot be used, the directory in /tmp can. */
static void a_directory_that_others_can_enter_is_not_used(void **state)
{
	char *here = path_absolute("runtime"), *link = path_absolute("link");
	char long_path[101];
	struct run run;

	(void)state;
	memset(long_path, '/', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(mkdir("runtime/dstrain", 0700), 0);
	assert_int_equal(chmod("runtime/dstrain", 0750), 0);
	assert_int_equal(mkdir("link", 0700), 0);
	assert_int_equal(mkdir("elsewhere", 0700), 0);
	assert_int_equal(symlink("../elsewhere", "link/dstrain"), 0);
	for (int what = 0; what < 4; what++) {
		const char *const dirs[] = { here, link, "runtime", long_path };

		setenv("XDG_RUNTIME_DIR", dirs[what], 1);
		run_init(&run, "aaaa", (uint64_t)getpid()); /* others use it, too */
		runs_meet(&run, 1);
		everybody_shares(&run);
		run_release(&run);
	}
	assert_int_equal(entries_of("runtime/dstrain"), 2);
	setenv("XDG_RUNTIME_DIR", here, 1);
	rmdir("runtime/dstrain");
	free(here);
	free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_of_one_host_share_memory_and_the_others_do_not),
		cmocka_unit_test(one_that_cannot_get_there_keeps_all_from_sharing),
		cmocka_unit_test(one_with_another_key_keeps_all_from_sharing),
		cmocka_unit_test(without_memory_nobody_shares),
		cmocka_unit_test(a_link_that_fails_is_a_failure_and_not_a_hang),
		cmocka_unit_test(two_runs_at_once_do_not_meet),
		cmocka_unit_test(what_a_dead_run_left_behind_does_not_disturb),
		cmocka_unit_test(a_directory_that_others_can_enter_is_not_used),
	};

	log_level_set(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_runtime_dir, scratch_remove);
}
