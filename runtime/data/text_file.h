/* A text read whole, to be taken apart in place. */
#ifndef DSTRAIN_RUNTIME_TEXT_FILE_H
#define DSTRAIN_RUNTIME_TEXT_FILE_H

struct buf;
struct error;

/* Appends what is in the file, gzipped or not; no byte of it is 0. A byte order mark is left out.
 */
int text_file_read(struct buf *text, const char *path, struct error *err);

#endif
