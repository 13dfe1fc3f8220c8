/*
 * What no allreduce on this machine can beat, measured: "NAME VALUE UNIT" a line. Memory figures
 * are for vectors far larger than any cache, and for such that stay in one.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/clock.h"
#include "lib/memory.h"

enum { LARGE = 64 << 20, SMALL = 256 << 10, RECORD = 16 << 10, ROUND_TRIPS = 5000 };

#define MEASURE_S 0.3

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void copy(float *x, const float *y, size_t bytes)
{
	memcpy(x, y, bytes);
	__asm__ volatile("" ::"r"(x) : "memory");
}

__attribute__((optimize("O3"))) static void add(float *x, const float *y, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(float); i++)
		x[i] += y[i];
	__asm__ volatile("" ::"r"(x) : "memory");
}

/* Bytes of one vector per second, median over a while. */
static double rate(void (*run)(float *, const float *, size_t), size_t bytes)
{
	float *x = xaligned(bytes), *y = xaligned(bytes);
	double took[10000], began = clock_now(), median;
	size_t count = 0;

	run(x, y, bytes);
	while (count < 5 || (clock_now() < began + MEASURE_S && count < ARRAY_SIZE(took))) {
		double at = clock_now();

		run(x, y, bytes);
		took[count++] = clock_now() - at;
	}
	qsort(took, count, sizeof(*took), compare);
	median = took[count / 2];
	free(x);
	free(y);
	return (double)bytes / median;
}

static double encryption(void)
{
	static unsigned char in[RECORD], out[RECORD + 16], key[16], iv[12];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	double began = clock_now();
	size_t records = 0;
	int length;

	EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, iv);
	for (; clock_now() < began + MEASURE_S; records++) {
		EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, iv);
		EVP_EncryptUpdate(cipher, out, &length, in, sizeof(in));
		EVP_EncryptFinal_ex(cipher, out + length, &length);
	}
	EVP_CIPHER_CTX_free(cipher);
	return (double)records * RECORD / (clock_now() - began);
}

/* Both ends of something that carries eight bytes there and back. */
struct ends {
	int near_in, near_out, far_in, far_out;
};

static void *answer(void *arg)
{
	const struct ends *ends = arg;
	uint64_t word;

	for (int i = 0; i < ROUND_TRIPS; i++)
		if (read(ends->far_in, &word, sizeof(word)) != sizeof(word) ||
		    write(ends->far_out, &word, sizeof(word)) != sizeof(word))
			abort();
	return NULL;
}

static double round_trip(struct ends ends)
{
	double took[ROUND_TRIPS];
	pthread_t thread;
	uint64_t word = 1;

	if (pthread_create(&thread, NULL, answer, &ends) != 0)
		abort();
	for (int i = 0; i < ROUND_TRIPS; i++) {
		double began = clock_now();

		if (write(ends.near_out, &word, sizeof(word)) != sizeof(word) ||
		    read(ends.near_in, &word, sizeof(word)) != sizeof(word))
			abort();
		took[i] = clock_now() - began;
	}
	pthread_join(thread, NULL);
	qsort(took, ROUND_TRIPS, sizeof(*took), compare);
	return took[ROUND_TRIPS / 2];
}

static double loopback(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0), near = socket(AF_INET, SOCK_STREAM, 0);
	int far, one = 1;

	if (bind(listener, (struct sockaddr *)&at, length) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &length) < 0 ||
	    connect(near, (struct sockaddr *)&at, length) < 0)
		abort();
	far = accept(listener, NULL, NULL);
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return round_trip((struct ends){ near, near, far, far });
}

int main(void)
{
	int there = eventfd(0, 0), back = eventfd(0, 0);

	printf("memcpy %.2f GB/s\n", rate(copy, LARGE) * 1e-9);
	printf("memcpy-in-cache %.2f GB/s\n", rate(copy, SMALL) * 1e-9);
	printf("add %.2f GB/s\n", rate(add, LARGE) * 1e-9);
	printf("add-in-cache %.2f GB/s\n", rate(add, SMALL) * 1e-9);
	printf("aes-128-gcm %.2f GB/s\n", encryption() * 1e-9);
	printf("loopback-round-trip %.1f us\n", loopback() * 1e6);
	printf("eventfd-round-trip %.1f us\n",
	       round_trip((struct ends){ back, there, there, back }) * 1e6);
	return 0;
}
