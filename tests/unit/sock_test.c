/* Sockets: addresses, reading, writing and how connections end. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/sock.h"

/* A connected pair over `address`. */
static void connect_pair(const char *address, int *left, int *right)
{
	struct pollfd knock = { .events = POLLIN };
	struct error err = { "" };
	uint16_t port = 0;

	if (sock_listen(&knock.fd, address, &port, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_not_equal(port, 0);
	assert_int_equal(sock_accept(knock.fd), -1);
	assert_int_equal(errno, EAGAIN);
	if (sock_connect(left, address, port, clock_now() + 60, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(poll(&knock, 1, 60000), 1);
	*right = sock_accept(knock.fd);
	assert_true(*right >= 0);
	close(knock.fd);
}

static void wait_readable(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&wait, 1, 60000), 1);
}

static void bytes_go_both_ways_over(const char *address)
{
	struct iovec parts[] = { { (char[]){ "ab" }, 2 }, { (char[]){ "cde" }, 3 } };
	char name[SOCK_NAME], text[8] = "";
	struct error err;
	int left, right;

	connect_pair(address, &left, &right);
	assert_non_null(strstr(sock_peer_name(name, right), address));
	assert_int_equal(sock_read(right, text, sizeof(text), &err), 0);
	assert_int_equal(sock_write(left, parts, 2, &err), 5);
	wait_readable(right);
	assert_int_equal(sock_read(right, text, sizeof(text), &err), 5);
	assert_string_equal(text, "abcde");
	sock_end(left);
	wait_readable(right);
	assert_int_equal(sock_read(right, text, sizeof(text), &err), -1);
	assert_string_equal(err.text, "connection closed");
	assert_int_equal(sock_write(right, parts, 1, &err), 2); /* the other way is open still */
	wait_readable(left);
	assert_int_equal(sock_read(left, text, sizeof(text), &err), 2);
	close(left);
	close(right);
}

static void bytes_go_both_ways(void **state)
{
	(void)state;
	bytes_go_both_ways_over("127.0.0.1");
	bytes_go_both_ways_over("::1");
}

static void writing_to_a_closed_peer_fails_without_a_signal(void **state)
{
	struct iovec part = { (char[]){ "x" }, 1 };
	struct error err;
	int left, right;

	(void)state;
	connect_pair("127.0.0.1", &left, &right);
	close(right);
	sock_write(left, &part, 1, &err); /* is answered with a reset */
	wait_readable(left);
	assert_int_equal(sock_write(left, &part, 1, &err), -1);
	close(left);
}

static void unsent_bytes_are_known_until_acknowledged(void **state)
{
	static char block[8 << 20];
	struct iovec part = { block, sizeof(block) };
	double deadline = clock_now() + 60;
	struct error err;
	int left, right;
	long written;

	(void)state;
	connect_pair("127.0.0.1", &left, &right);
	written = sock_write(left, &part, 1, &err);
	assert_true(written > 0 && written < (long)sizeof(block));
	assert_true(sock_unsent(left) > 0);
	while (sock_unsent(left) > 0 && clock_now() < deadline)
		sock_read(right, block, sizeof(block), &err);
	assert_int_equal(sock_unsent(left), 0);
	close(left);
	close(right);
}

static void names_and_taken_ports_are_refused(void **state)
{
	uint16_t port = 0;
	struct error err;
	int first, second;

	(void)state;
	assert_int_equal(sock_listen(&first, "localhost", &port, &err), -1);
	assert_string_equal(err.text, "'localhost' is not a numeric address");
	assert_int_equal(sock_listen(&first, "", &port, &err), -1);
	assert_int_equal(sock_listen(&first, "127.0.0.1", &port, &err), 0);
	assert_int_equal(sock_listen(&second, "127.0.0.1", &port, &err), -1);
	assert_non_null(strstr(err.text, "cannot listen on '127.0.0.1'"));
	close(first);
	assert_int_equal(sock_connect(&second, "127.0.0.1", port, clock_now() + 60, &err), -1);
	assert_string_equal(err.text, "cannot connect: Connection refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(writing_to_a_closed_peer_fails_without_a_signal),
		cmocka_unit_test(unsent_bytes_are_known_until_acknowledged),
		cmocka_unit_test(names_and_taken_ports_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
