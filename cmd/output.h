/* Results on standard output. */
#ifndef DSTRAIN_CMD_OUTPUT_H
#define DSTRAIN_CMD_OUTPUT_H

struct json;
struct table;

void output_json(const struct json *json);
void output_table(const struct table *table);

#endif
