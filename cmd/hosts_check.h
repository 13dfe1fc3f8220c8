/* Whether hosts can train together, for people or as JSON. */
#ifndef DSTRAIN_CMD_HOSTS_CHECK_H
#define DSTRAIN_CMD_HOSTS_CHECK_H

struct flags;
struct hosts;

/* Prints what each host is and who reaches whom; returns the exit status. */
int hosts_check(const struct hosts *hosts, const struct flags *flags);

#endif
