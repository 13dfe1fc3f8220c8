/* What runs left on a host, and its removal. */
#include "lib/clean.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/ssh.h"

enum { ANSWER_S = 120, PIECE_BYTES = 1 << 16 };

static const char marker[] = "dstrain-clean";

/*
 * Set before it: dry and force, 0 or 1. Says a line for each thing: kind, KiB, what. A worker was
 * started by sshd, in a session of its own; where the leader of the session is gone or was left to
 * init, the connection is gone, and so is the run. A process is ended only if it still executes our
 * file and was started when it was before.
 */
static const char script[] =
	"umask 077\n"
	"c=$XDG_CACHE_HOME\n"
	"case $c in /*) ;; *) c=$HOME/.cache ;; esac\n"
	"c=$c/dstrain\n"
	"u=$(id -u)\n"
	"echo dstrain-clean\n"
	"real=$(cd -P \"$c\" 2>/dev/null && pwd) || real=$c\n"
	"ours() { case $(readlink /proc/$1/exe 2>/dev/null) in\n"
	"\"$real\"/bin/*/dstrain | \"$real\"/bin/*/dstrain\\ *) ;; *) false ;; esac; }\n"
	"look() { s=$(cat /proc/$1/stat 2>/dev/null) || return 1\n"
	"set -- ${s##*) }; parent=$2 session=$4 start=${20}; }\n"
	"of_session() { look $1 && [ $parent -gt 1 ]; }\n"
	"from() { tr '\\000' '\\n' </proc/$1/environ 2>/dev/null |\n"
	"sed -n 's/^SSH_CONNECTION=\\([^ ]*\\) .*/, started from \\1/p'; }\n"
	"busy= kill=\n"
	"for d in /proc/[0-9]*; do\n"
	"p=${d#/proc/}\n"
	"ours $p && look $p || continue\n"
	"kill=\"$kill $p:$start\" kind=worker\n"
	"of_session $session && kind=busy busy=1\n"
	"[ $force = 1 ] && kind=worker\n"
	"echo $kind 0 \"pid $p ($(cat $d/comm))$(from $p)\"\n"
	"done\n"
	"[ \"$busy\" ] && [ $force = 0 ] && dry=1\n"
	"if [ $dry = 0 ]; then\n"
	"for k in $kill; do p=${k%:*}\n"
	"ours $p && look $p && [ $start = ${k#*:} ] && kill -9 $p\n"
	"done\n"
	"for k in $kill; do n=0\n"
	"while ours ${k%:*} && [ $n -lt 5 ]; do sleep 1; n=$((n + 1)); done\n"
	"done\n"
	"fi\n"
	"size() { set -- $(du -sk \"$1\" 2>/dev/null); echo ${1:-0}; }\n"
	"[ \"$busy\" ] && [ $force = 0 ] || {\n"
	"for f in \"$c\"/bin/*; do [ -e \"$f\" ] && echo program $(size \"$f\") \"$f\"; done\n"
	"for f in \"$c\"/data/*; do [ -e \"$f\" ] && echo data $(size \"$f\") \"$f\"; done\n"
	"[ $dry = 1 ] || rm -rf \"$c\" || { echo cannot remove \"$c\" >&2; exit 1; }\n"
	"for r in \"$XDG_RUNTIME_DIR/dstrain\" /run/user/$u/dstrain /tmp/dstrain-$u; do\n"
	"[ -d \"$r\" ] && [ ! -L \"$r\" ] && [ -O \"$r\" ] || continue\n"
	"for f in \"$r\"/*; do\n"
	"[ -S \"$f\" ] && ! grep -qF \" $f\" /proc/net/unix || continue\n"
	"echo socket 0 \"$f\"\n"
	"[ $dry = 1 ] || rm -f \"$f\"\n"
	"done\n"
	"[ $dry = 1 ] || rmdir \"$r\" 2>/dev/null\n"
	"done\n"
	"}\n"
	"echo end 0 end\n";

static const char *const kind_words[CLEAN_KINDS] = {
	[CLEAN_PROGRAM] = "program", [CLEAN_DATA] = "data", [CLEAN_SOCKET] = "socket",
	[CLEAN_WORKER] = "worker",   [CLEAN_BUSY] = "busy",
};

static void add_item(struct clean_result *result, const char *word, uint64_t kib, const char *what)
{
	struct clean_item item = { .bytes = kib * 1024 };

	while (item.kind < CLEAN_KINDS && strcmp(kind_words[item.kind], word) != 0)
		item.kind++;
	if (item.kind == CLEAN_KINDS)
		return;
	item.what = xstrdup(what);
	result->items = xrealloc(result->items, result->count + 1, sizeof(*result->items));
	result->items[result->count++] = item;
	result->bytes += item.bytes;
	result->busy |= item.kind == CLEAN_BUSY;
}

static int read_answer(const struct host *host, char *text, struct clean_result *out,
		       struct error *err)
{
	bool whole = false;

	while (*text) {
		size_t length = strcspn(text, "\n");
		unsigned long long kib;
		char word[16];
		int skip = 0;

		if (text[length])
			text[length++] = '\0';
		if (sscanf(text, "%15s %llu %n", word, &kib, &skip) == 2 && skip > 0) {
			add_item(out, word, kib, text + skip);
			whole = strcmp(word, "end") == 0;
		}
		text += length;
	}
	return whole ? 0 : error_set(err, "%s: its answer was cut off", host->name);
}

static int ask_remote(const struct host *host, const struct buf *text, struct buf *answer,
		      struct error *err)
{
	struct ssh_command command = { .command = "exec /bin/sh -s",
				       .marker = marker,
				       .input = text->data,
				       .input_length = text->length,
				       .timeout_s = ANSWER_S };
	struct ssh *ssh;
	int status;

	if (ssh_connect(&ssh, host, err) < 0)
		return -1;
	status = ssh_run(ssh, &command, answer, err);
	ssh_close(ssh);
	return status;
}

/* Both of what it says, until both end; the pipes are non-blocking. */
static void read_both(const struct process *process, struct buf *answer, struct buf *said)
{
	struct pollfd ready[] = { { .fd = process->out, .events = POLLIN },
				  { .fd = process->err, .events = POLLIN } };
	struct buf *into[] = { answer, said };

	while (ready[0].fd >= 0 || ready[1].fd >= 0) {
		if (poll(ready, ARRAY_SIZE(ready), -1) < 0)
			continue; /* a signal: the script is short */
		for (size_t i = 0; i < ARRAY_SIZE(ready); i++) {
			ssize_t got = 0;

			if (ready[i].fd < 0 || !ready[i].revents)
				continue;
			got = read(ready[i].fd, buf_reserve(into[i], PIECE_BYTES), PIECE_BYTES);
			if (got > 0)
				into[i]->length += (size_t)got;
			else if (got == 0)
				ready[i].fd = -1;
		}
	}
	buf_add(answer, "", 0);
	buf_add(said, "", 0);
}

static int ask_here(const struct buf *text, struct buf *answer, struct error *err)
{
	char shell[] = "/bin/sh", flag[] = "-c";
	char *argv[] = { shell, flag, text->data, NULL };
	struct process_status status = { 0 };
	struct process process = { 0 };
	struct buf said = { 0 };
	int outcome = 0;

	if (process_start(&process, argv, NULL, err) < 0)
		return -1;
	file_close(&process.in);
	read_both(&process, answer, &said);
	process_wait(&process, INFINITY, &status);
	if (!status.exited || status.code != 0)
		outcome = error_set(err, "local: %.*s", (int)strcspn(buf_text(&said), "\n"),
				    buf_text(&said));
	process_release(&process);
	buf_release(&said);
	return outcome;
}

int clean_host(const struct host *host, const struct clean_order *order, struct clean_result *out,
	       struct error *err)
{
	struct buf text = { 0 }, answer = { 0 };
	int status;

	*out = (struct clean_result){ 0 };
	buf_addf(&text, "dry=%d force=%d\n%s", order->dry, order->force, script);
	status =
		host->local ? ask_here(&text, &answer, err) : ask_remote(host, &text, &answer, err);
	if (status == 0) {
		buf_add(&answer, "", 0);
		status = read_answer(host, answer.data, out, err);
	}
	buf_release(&text);
	buf_release(&answer);
	return status;
}

void clean_result_release(struct clean_result *result)
{
	for (size_t i = 0; i < result->count; i++)
		free(result->items[i].what);
	free(result->items);
	*result = (struct clean_result){ 0 };
}
