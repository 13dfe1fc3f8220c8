/* What ~/.ssh/config and /etc/ssh/ssh_config say about a host name; see ssh_config(5). */
#include "lib/ssh_config.h"

#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"

enum { INCLUDE_DEPTH = 16, CONFIG_BYTES = 1 << 20, LINE_WORDS = 64 };

struct reading {
	struct ssh_config *out;
	const char *name;    /* as the user wrote it */
	const char *include; /* where relative Include paths start */
	int depth;
	bool active; /* the lines now are for our host */
};

struct line {
	char *words[LINE_WORDS]; /* [0] is the keyword; point into the file's text */
	size_t count;
	struct place place;
};

struct keyword {
	const char *name, *key; /* theirs, ours */
	bool list;		/* adds up; otherwise the first value wins */
};

static const struct keyword keywords[] = {
	{ "HostName", "address", false },
	{ "User", "user", false },
	{ "Port", "port", false },
	{ "IdentityFile", "identity", true },
	{ "IdentitiesOnly", "identities_only", false },
	{ "ProxyJump", "proxy_jump", false },
	{ "UserKnownHostsFile", "known_hosts", false },
	{ "HostKeyAlias", "host_key_alias", false },
	{ "StrictHostKeyChecking", "host_key_check", false },
	{ "ConnectTimeout", "connect_timeout", false },
};

bool ssh_pattern_match(const char *pattern, const char *text)
{
	for (; *pattern; pattern++, text++) {
		if (*pattern == '*') {
			while (*pattern == '*')
				pattern++;
			for (;; text++) {
				if (ssh_pattern_match(pattern, text))
					return true;
				if (!*text)
					return false;
			}
		}
		if (!*text || (*pattern != '?' && *pattern != *text))
			return false;
	}
	return !*text;
}

static char *account(size_t offset)
{
	struct passwd entry, *found = NULL;
	char room[4096];
	const char *text;

	if (getpwuid_r(geteuid(), &entry, room, sizeof(room), &found) != 0 || !found)
		return NULL;
	memcpy(&text, (const char *)found + offset, sizeof(text));
	return xstrdup(text);
}

static char *home_dir(void)
{
	const char *home = getenv("HOME");
	char *owned =
		home && home[0] == '/' ? xstrdup(home) : account(offsetof(struct passwd, pw_dir));

	return owned ? owned : xstrdup("/");
}

char *ssh_login_name(void)
{
	const char *user = getenv("USER");
	char *owned = account(offsetof(struct passwd, pw_name));

	return owned ? owned : xstrdup(user ? user : "root");
}

char *ssh_expand_home(const char *path)
{
	char *home, *full;

	if (path[0] != '~' || (path[1] && path[1] != '/'))
		return xstrdup(path);
	home = home_dir();
	full = xasprintf("%s%s", home, path + 1);
	free(home);
	return full;
}

/* Takes one word off *text, in place; NULL at the end of the line. */
static char *next_word(char **text, bool *unfinished)
{
	char *from = *text + strspn(*text, " \t\r"), *to = from, *start = from;
	bool quoted = false;

	if (!*from || *from == '#')
		return NULL;
	for (; *from && (quoted || !strchr(" \t\r", *from)); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*unfinished |= quoted;
	*text = *from ? from + 1 : from;
	*to = '\0';
	return start;
}

/* The keyword may be followed by blanks, by "=", or by both. */
static int split(struct line *line, char *text, struct error *err)
{
	bool unfinished = false;
	char *equals = text + strspn(text, " \t");
	char *word;

	line->count = 0;
	equals += strcspn(equals, " \t=\"#");
	equals += strspn(equals, " \t");
	if (*equals == '=')
		*equals = ' ';
	while (line->count < LINE_WORDS && (word = next_word(&text, &unfinished)))
		line->words[line->count++] = word;
	if (!unfinished)
		return 0;
	return error_set(err, "%s:%d: a quote is not closed", line->place.file, line->place.line);
}

static bool host_matches(const struct line *line, const char *name)
{
	bool matched = false;

	for (size_t i = 1; i < line->count; i++) {
		const char *pattern = line->words[i];
		bool negated = pattern[0] == '!';

		if (!ssh_pattern_match(pattern + negated, name))
			continue;
		if (negated)
			return false;
		matched = true;
	}
	return matched;
}

static bool match_applies(const struct line *line)
{
	if (line->count == 2 && strcasecmp(line->words[1], "all") == 0)
		return true;
	log_debug("%s:%d: this Match block is skipped: only `Match all` is understood",
		  line->place.file, line->place.line);
	return false;
}

static const char *check_word(const char *value)
{
	static const char *const words[][2] = {
		{ "yes", "strict" }, { "ask", "strict" }, { "true", "strict" },
		{ "no", "no" },	     { "off", "no" },	  { "false", "no" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(value, words[i][0]) == 0)
			return words[i][1];
	return value;
}

static void take_setting(struct reading *r, const struct keyword *keyword, const struct line *line)
{
	struct settings *settings = &r->out->settings;
	bool many = keyword->list || strcmp(keyword->key, "known_hosts") == 0;
	struct setting *entry = settings_find(settings, keyword->key);

	if (entry && !keyword->list)
		return;
	if (!entry)
		entry = settings_add(settings, keyword->key, many ? SETTING_LIST : SETTING_SCALAR,
				     line->place);
	for (size_t i = 1; i < (many ? line->count : 2); i++) {
		const char *value = line->words[i];

		if (strcmp(keyword->key, "host_key_check") == 0)
			value = check_word(value);
		setting_add_value(entry, value, strlen(value));
	}
}

static int read_file(struct reading *r, const char *path, struct error *err);

static int include(struct reading *r, const struct line *line, struct error *err)
{
	bool active = r->active;
	int status = 0;

	if (!active)
		return 0;
	if (r->depth == INCLUDE_DEPTH)
		return error_set(err, "%s:%d: included too deep", line->place.file,
				 line->place.line);
	r->depth++;
	for (size_t i = 1; i < line->count && status == 0; i++) {
		char *home = ssh_expand_home(line->words[i]);
		char *path = home[0] == '/' ? xstrdup(home) : path_join(r->include, home);
		glob_t found = { 0 };

		if (glob(path, 0, NULL, &found) == 0)
			for (size_t j = 0; j < found.gl_pathc && status == 0; j++) {
				r->active = true;
				status = read_file(r, found.gl_pathv[j], err);
			}
		globfree(&found);
		free(path);
		free(home);
	}
	r->depth--;
	r->active = active;
	return status;
}

static int read_line(struct reading *r, char *text, struct place place, struct error *err)
{
	struct line line = { .place = place };
	const char *word;

	if (split(&line, text, err) < 0)
		return -1;
	if (line.count < 2)
		return 0;
	word = line.words[0];
	if (strcasecmp(word, "Host") == 0)
		r->active = host_matches(&line, r->name);
	else if (strcasecmp(word, "Match") == 0)
		r->active = match_applies(&line);
	else if (strcasecmp(word, "Include") == 0)
		return include(r, &line, err);
	else if (r->active && strcasecmp(word, "ProxyCommand") == 0 &&
		 strcasecmp(line.words[1], "none") != 0 &&
		 !settings_find(&r->out->settings, "proxy_jump"))
		log_warn("%s:%d: ProxyCommand is not supported, and ignored; use ProxyJump",
			 place.file, place.line);
	for (size_t i = 0; r->active && i < ARRAY_SIZE(keywords); i++)
		if (strcasecmp(word, keywords[i].name) == 0)
			take_setting(r, &keywords[i], &line);
	return 0;
}

static int read_file(struct reading *r, const char *path, struct error *err)
{
	struct place place = { .file = path };
	struct buf text = { 0 };
	int status = file_read(&text, path, CONFIG_BYTES, err);
	char *next = text.data;

	/* The entry's own copy of the name lives as long as the places do. */
	place.file = settings_add(&r->out->files, path, SETTING_SCALAR, place)->key;
	place.column = 1;
	while (status == 0 && next && *next) {
		char *end = next + strcspn(next, "\n");
		char *following = *end ? end + 1 : end;

		*end = '\0';
		place.line++;
		status = read_line(r, next, place, err);
		next = following;
	}
	buf_release(&text);
	return status;
}

struct token {
	char letter;
	const char *text;
};

static char *expand_tokens(const char *text, const struct token *tokens)
{
	struct buf out = { 0 };

	for (; *text; text++) {
		const struct token *token = tokens;

		while (text[0] == '%' && token->letter && token->letter != text[1])
			token++;
		if (text[0] == '%' && token->letter) {
			buf_addf(&out, "%s", token->text);
			text++;
		} else {
			buf_add(&out, text, 1);
		}
	}
	return buf_take(&out);
}

static void expand_setting(struct settings *settings, const char *key, const struct token *tokens)
{
	struct setting *entry = settings_find(settings, key);

	for (size_t i = 0; entry && i < entry->count; i++) {
		char *expanded = expand_tokens(entry->values[i], tokens);

		free(entry->values[i]);
		entry->values[i] = ssh_expand_home(expanded);
		free(expanded);
	}
}

static const char *value_or(const struct settings *settings, const char *key, const char *other)
{
	const struct setting *entry = settings_find(settings, key);

	return entry ? entry->values[0] : other;
}

static void expand_all(struct settings *settings, const char *name, const char *user)
{
	char *local = ssh_login_name(), *home = home_dir();
	struct token tokens[] = { { '%', "%" },	 { 'h', name }, { 'n', name }, { 'u', local },
				  { 'd', home }, { 'r', NULL }, { 'p', NULL }, { 0 } };

	tokens[5].text = user ? user : value_or(settings, "user", local);
	tokens[6].text = value_or(settings, "port", "22");
	expand_setting(settings, "address", tokens);
	tokens[1].text = value_or(settings, "address", name);
	expand_setting(settings, "identity", tokens);
	expand_setting(settings, "known_hosts", tokens);
	expand_setting(settings, "host_key_alias", tokens);
	free(local);
	free(home);
}

int ssh_config_read(struct ssh_config *out, const char *name, const char *user, struct error *err)
{
	const char *only = getenv("DSTRAIN_SSH_CONFIG");
	char *home = ssh_expand_home("~/.ssh");
	char *own = only ? xstrdup(only) : path_join(home, "config");
	struct reading r = { .out = out, .name = name, .include = home, .active = true };
	int status = 0;

	if (file_exists(own))
		status = read_file(&r, own, err);
	if (status == 0 && !only && file_exists("/etc/ssh/ssh_config")) {
		r.include = "/etc/ssh";
		r.active = true;
		status = read_file(&r, "/etc/ssh/ssh_config", err);
	}
	if (status == 0)
		expand_all(&out->settings, name, user);
	free(own);
	free(home);
	return status;
}

void ssh_config_release(struct ssh_config *config)
{
	settings_release(&config->settings);
	settings_release(&config->files);
}
