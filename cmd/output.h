/* Results on standard output, and errors in place of them. */
#ifndef DSTRAIN_CMD_OUTPUT_H
#define DSTRAIN_CMD_OUTPUT_H

struct error;
struct json;
struct table;

void output_json(const struct json *json);
void output_table(const struct table *table);
/* Logs the error; returns the exit status. */
int output_failure(int status, const struct error *why);

#endif
