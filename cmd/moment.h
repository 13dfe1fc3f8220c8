/* A point in time, for people. */
#ifndef DSTRAIN_CMD_MOMENT_H
#define DSTRAIN_CMD_MOMENT_H

enum { MOMENT_TEXT = 32 };

/* "2026-11-21 04:20:59", where this machine is; "-" for 0. Returns `out`. */
char *moment_show(char out[MOMENT_TEXT], double wall_s);

#endif
