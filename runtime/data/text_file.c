/* A text read whole, to be taken apart in place. */
#include "runtime/data/text_file.h"

#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/gzip.h"

enum { READ = 1 << 20 };

int text_file_read(struct buf *text, const char *path, struct error *err)
{
	struct gzip *file;
	size_t got;
	int status;

	if (gzip_open(&file, path, err) < 0)
		return -1;
	do {
		status = gzip_read(file, buf_reserve(text, READ), READ, &got, err);
		text->length += got;
	} while (status == 0 && got == READ);
	gzip_close(file);
	buf_add(text, "", 0);
	if (status == 0 && memchr(text->data, '\0', text->length))
		status = error_set(err, "'%s' is not a text file", path);
	if (status == 0 && text->length >= 3 && memcmp(text->data, "\xef\xbb\xbf", 3) == 0)
		buf_consume(text, 3); /* byte order mark */
	return status;
}
