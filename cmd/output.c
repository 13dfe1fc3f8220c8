/* Results on standard output, and errors in place of them. */
#include "cmd/output.h"

#include <stdio.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/table.h"

void output_json(const struct json *json)
{
	struct buf out = { 0 };

	json_print(json, 2, &out);
	fputs(buf_text(&out), stdout);
	buf_release(&out);
}

void output_table(const struct table *table)
{
	struct buf out = { 0 };

	table_print(table, &out);
	fputs(buf_text(&out), stdout);
	buf_release(&out);
}

int output_failure(int status, const struct error *why)
{
	log_error("%s", why->text);
	return status;
}
