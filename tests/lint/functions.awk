# Functions that have one home, or none. Input: C files, named from the repository root.
# Comments and strings are blanked first. A rule is: functions; files that may; what to use.

BEGIN {
	rule("malloc calloc realloc strdup strndup asprintf posix_memalign aligned_alloc",
	     "^lib/memory\\.c$", "use lib/memory.h")
	rule("strtol strtoul strtoll strtoull strtod strtof atoi atol atoll atof",
	     "^(lib/units|tests/wall_clock)\\.c$", "use lib/units.h")
	rule("clock_gettime gettimeofday time clock sleep usleep nanosleep clock_nanosleep",
	     "^(lib/clock|tests/wall_clock)\\.c$", "use lib/clock.h")
	rule("rand srand random srandom drand48", "^$", "use runtime/rng.h")
	rule("sprintf vsprintf strcpy strncpy strcat strncat gets strtok tmpnam mktemp alloca",
	     "^$", "use a bounded form")
	rule("system popen", "^tests/", "use lib/process.h")
	rule("printf vprintf puts putchar", "^(cmd|tests)/", "only cmd/ prints results")
	rule("exit", "^(cmd|tests)/|^lib/memory\\.c$", "return -1 and fill struct error")
}

function rule(functions, home, instead,    list, i) {
	split(functions, list, " ")
	for (i in list) {
		allowed[list[i]] = home
		advice[list[i]] = instead
	}
}

# The line without comments, strings and character constants.
function code(line,    out, c, two) {
	out = ""
	while (line != "") {
		two = substr(line, 1, 2)
		c = substr(line, 1, 1)
		if (in_comment) {
			in_comment = two != "*/"
			line = substr(line, in_comment ? 2 : 3)
		} else if (two == "/*") {
			in_comment = 1
			line = substr(line, 3)
		} else if (two == "//") {
			return out
		} else if (c == "\"" || c == "'") {
			match(line, "^" c "(\\\\.|[^" c "\\\\])*" c)
			line = substr(line, RLENGTH > 0 ? RLENGTH + 1 : 2)
			out = out c c
		} else {
			out = out c
			line = substr(line, 2)
		}
	}
	return out
}

FNR == 1 { in_comment = 0 }

{
	text = code($0)
	while (match(text, /[A-Za-z_][A-Za-z_0-9]*[ \t]*\(/)) {
		before = substr(text, 1, RSTART - 1)
		name = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		sub(/[ \t]*\($/, "", name)
		if (name in allowed && before !~ /(\.|->)$/ && FILENAME !~ allowed[name])
			printf "%s:%d: %s() is not for this file; %s\n", FILENAME, FNR, name, advice[name]
	}
}
