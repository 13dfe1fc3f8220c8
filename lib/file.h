/* Whole files and directories. */
#ifndef DSTRAIN_LIB_FILE_H
#define DSTRAIN_LIB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

int file_read(struct buf *out, const char *path, size_t limit, struct error *err); /* appends */
/* Temporary name, fsync, rename, fsync of the directory: the old file or the new one, never half.
 */
int file_write(const char *path, const void *bytes, size_t length, struct error *err);
int file_write_all(int fd, const void *bytes, size_t length); /* retries; -1 with errno set */
/* The number behind `key` in a small file, such as one of /proc; UINT64_MAX if there is none. */
uint64_t file_number(const char *path, const char *key);
void file_close(int *fd); /* and makes it -1; fine if it is */
int file_size(uint64_t *out, const char *path, struct error *err); /* regular files only */
bool file_exists(const char *path);
int dir_make(const char *path, struct error *err); /* with parents, mode 0700; existing is fine */
int dir_sync(const char *path, struct error *err);
int dir_remove(const char *path, struct error *err); /* with everything below it */
char *path_join(const char *dir, const char *name);  /* caller frees, as the next */
char *path_absolute(const char *path);		     /* from the working directory */

#endif
