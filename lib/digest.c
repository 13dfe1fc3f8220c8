/* SHA-256 and random bytes (OpenSSL). */
#include "lib/digest.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"

enum { SHA256_BYTES = (DIGEST_HEX - 1) / 2, CHUNK = 1 << 16 };

static EVP_MD_CTX *start(void)
{
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	int ready = sum && EVP_DigestInit_ex(sum, EVP_sha256(), NULL);

	assert(ready);
	(void)ready;
	return sum;
}

static void finish(EVP_MD_CTX *sum, char hex[DIGEST_HEX])
{
	unsigned char bytes[SHA256_BYTES];

	EVP_DigestFinal_ex(sum, bytes, NULL);
	EVP_MD_CTX_free(sum);
	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned)bytes[i]);
}

void digest_bytes(char hex[DIGEST_HEX], const void *bytes, size_t length)
{
	EVP_MD_CTX *sum = start();

	EVP_DigestUpdate(sum, bytes, length);
	finish(sum, hex);
}

int digest_file(char hex[DIGEST_HEX], const char *path, struct error *err)
{
	FILE *file = fopen(path, "rbe");
	EVP_MD_CTX *sum;
	char *chunk;
	size_t got;
	int status = 0;

	if (!file)
		return error_set(err, "cannot open '%s': %s", path, strerror(errno));
	sum = start();
	chunk = xmalloc(CHUNK);
	while ((got = fread(chunk, 1, CHUNK, file)) > 0)
		EVP_DigestUpdate(sum, chunk, got);
	if (ferror(file)) {
		status = error_set(err, "cannot read '%s': %s", path, strerror(errno));
		EVP_MD_CTX_free(sum);
	} else {
		finish(sum, hex);
	}
	free(chunk);
	fclose(file);
	return status;
}

int random_bytes(void *out, size_t length, struct error *err)
{
	assert(length <= INT_MAX);
	if (RAND_bytes(out, (int)length) != 1)
		return error_set(err, "no random bytes from the system");
	return 0;
}
