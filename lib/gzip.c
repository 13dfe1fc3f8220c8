/* Files read from the front, unpacked on the way if their first bytes are those of gzip (zlib). */
#include "lib/gzip.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

enum { BUFFER = 1 << 17, LARGEST_READ = 1 << 30 };

struct gzip {
	gzFile file;
	char *path;
};

int gzip_open(struct gzip **out, const char *path, struct error *err)
{
	uint64_t bytes;
	gzFile file;

	if (file_size(&bytes, path, err) < 0)
		return -1;
	errno = ENOMEM;
	file = gzopen(path, "rbe");
	if (!file)
		return error_set(err, "cannot open '%s': %s", path, strerror(errno));
	gzbuffer(file, BUFFER);
	*out = xmalloc(sizeof(**out));
	**out = (struct gzip){ .file = file, .path = xstrdup(path) };
	return 0;
}

static int check(const struct gzip *file, struct error *err)
{
	size_t prefix = strlen(file->path) + 2; /* zlib puts "PATH: " in front */
	const char *reason;
	int code;

	reason = gzerror(file->file, &code);
	if (code == Z_OK || code == Z_STREAM_END)
		return 0;
	if (code == Z_BUF_ERROR)
		return error_set(err, "'%s' is cut short: its packed data end early", file->path);
	if (code == Z_ERRNO)
		return error_set(err, "cannot read '%s': %s", file->path, strerror(errno));
	return error_set(err, "'%s' is damaged: %s", file->path,
			 strlen(reason) > prefix ? reason + prefix : reason);
}

int gzip_read(struct gzip *file, void *out, size_t length, size_t *got, struct error *err)
{
	*got = 0;
	while (*got < length) {
		size_t left = length - *got;
		int more = gzread(file->file, (char *)out + *got,
				  left < LARGEST_READ ? (unsigned)left : LARGEST_READ);

		if (more <= 0)
			return check(file, err);
		*got += (size_t)more;
	}
	return 0;
}

void gzip_close(struct gzip *file)
{
	if (!file)
		return;
	gzclose_r(file->file);
	free(file->path);
	free(file);
}
