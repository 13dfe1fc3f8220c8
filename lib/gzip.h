/* Files read from the front, unpacked on the way if their first bytes are those of gzip (zlib). */
#ifndef DSTRAIN_LIB_GZIP_H
#define DSTRAIN_LIB_GZIP_H

#include <stddef.h>

struct error;
struct gzip;

int gzip_open(struct gzip **out, const char *path, struct error *err); /* regular files only */
/* *got is less than `length` at the end of the file only. A packed file that is cut short or
 * damaged is an error no later than when its end is read. Messages name the file. */
int gzip_read(struct gzip *file, void *out, size_t length, size_t *got, struct error *err);
void gzip_close(struct gzip *file); /* may be NULL */

#endif
