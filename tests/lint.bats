#!/usr/bin/env bats
# Every check of tests/lint finds what it is there to find. A small tree that is clean gets one fault.

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p tests lib runtime/sync runtime/model cmd man
	cp -r "$BATS_TEST_DIRNAME/lint" tests/
	cp "$BATS_TEST_DIRNAME/../.clang-format" .
	git init -q .
	write lib/links.h "#ifndef LINKS_H" "#define LINKS_H" "" "struct links;" "" "#endif"
	write lib/links.c '#include "lib/links.h"' "" "#include <yaml.h>" "" "int links;"
	write cmd/main.c '#include "lib/links.h"' "" "int main(void)" "{" $'\treturn 0;' "}"
	write README.md "The links are in lib/links.c."
}

write() { # FILE LINE...
	printf '%s\n' "${@:2}" >"$1"
}

lint() { # CHECK: over everything here
	git add -A
	run tests/lint/run "$@"
}

finds() { # CHECK MESSAGE-LINE
	lint "$1"
	assert_failure
	assert_line --partial "$2"
}

@test "a clean tree has no problems" {
	lint
	assert_success
	assert_output "lint: 10 checks, 0 problems"
}

@test "format: what clang-format would change" {
	write lib/links.c "int  links;"
	finds format "lib/links.c:1:"
}

@test "layers: lib does not include runtime" {
	write lib/links.c '#include "runtime/coll.h"'
	finds layers "lib/links.c:1: lib/ never includes runtime/: 'runtime/coll.h'"
}

@test "layers: nobody includes cmd or tests" {
	write lib/links.c '#include "cmd/cmd.h"' '#include "tests/unit/unit.h"'
	finds layers "lib/links.c:1: only cmd/ and tests include 'cmd/cmd.h'"
	assert_line "lib/links.c:2: only tests include 'tests/unit/unit.h'"
}

@test "layers: runtime knows no ssh and no yaml" {
	write runtime/coll.c '#include "lib/log.h"' '#include "lib/ssh_channel.h"' '#include "lib/yaml.h"'
	finds layers "runtime/coll.c:2: runtime/ never includes 'lib/ssh_channel.h'"
	assert_line "runtime/coll.c:3: runtime/ never includes 'lib/yaml.h'"
	refute_line --partial "runtime/coll.c:1:"
}

@test "layers: inside runtime the table decides" {
	write runtime/sync/bsp.c '#include "runtime/exchange.h"' '#include "runtime/compress/compress.h"'
	write runtime/coll.c '#include "runtime/coll_flow.h"' '#include "runtime/model/model.h"'
	write runtime/newcomer.c '#include "runtime/job.h"' '#include "runtime/model/model.h"'
	write runtime/loop.c '#include "runtime/model/model.h"'
	finds layers "runtime/sync/bsp.c:2: 'runtime/compress/compress.h' is not for runtime/sync/"
	assert_line --partial "runtime/coll.c:2: 'runtime/model/model.h' is not for runtime/coll;"
	assert_line --partial "runtime/newcomer.c:2: 'runtime/model/model.h' is not for runtime/newcomer"
	assert_line "lint: 1 checks, 3 problems"
}

@test "layers: a pure module does no input or output" {
	write lib/plan.c "#include <math.h>" "#include <unistd.h>"
	finds layers "lib/plan.c:2: a pure module does no input or output: 'unistd.h'"
	assert_line "lint: 1 checks, 1 problems"
}

@test "layers: includes start at the root of the repository" {
	write lib/links.c '#include "links.h"'
	finds layers "lib/links.c:1: 'links.h' is not written from the repository root"
}

@test "layers: a third-party header has one includer" {
	write lib/second.c "#include <yaml.h>" "#include <netinet/tcp.h>"
	write lib/ssh.c "#include <libssh2.h>"
	write lib/ssh_keys.c "#include <libssh2.h>"
	write lib/third.c "#include <libssh2.h>"
	finds layers "lib/second.c:1: <yaml.h> is included by lib/links.c already"
	assert_line "lib/third.c:1: <libssh2.h> is included by lib/ssh*.c already"
	assert_line "lint: 1 checks, 2 problems"
}

@test "lengths: a file of more than 600 lines" {
	yes "" | head -601 >lib/links.c
	finds lengths "lib/links.c:601: 601 lines; a file has at most 600"
}

@test "lengths: a function of more than 60 lines, kernels excepted" {
	{ echo "void long_one(void)" && echo "{" && yes $'\t;' | head -58 && echo "}"; } >lib/links.c
	mkdir runtime/device
	cp lib/links.c runtime/device/cpu.c
	finds lengths "lib/links.c:1: long_one is 61 lines long; a function has at most 60"
	assert_line "lint: 1 checks, 1 problems"
}

@test "names: a file or a type whose name says nothing" {
	write lib/ssh_utils.h "struct links_info {" $'\tint a;' "};" "struct information;"
	finds names 'lib/ssh_utils.h:1: a name says what a thing is; "utils" does not'
	assert_line 'lib/ssh_utils.h:1: a name says what a thing is; type "links_info" does not'
	assert_line "lint: 1 checks, 2 problems"
}

@test "functions: each has its home" {
	write lib/links.c "int f(char *a)" "{" "/* malloc(1) */ p->free(malloc(2));" \
		'x = "strcpy(a)"; strcpy(a, b);' "sprintf (a, b);" "now = time(NULL);" "a = atoi(b);" \
		"puts(a);" "exit(1);" "snprintf(a); fprintf(b); xmalloc(1); t->time(1);" "}"
	finds functions "lib/links.c:3: malloc() is not for this file; use lib/memory.h"
	assert_line --partial "lib/links.c:4: strcpy()"
	assert_line --partial "lib/links.c:5: sprintf()"
	assert_line "lib/links.c:6: time() is not for this file; use lib/clock.h"
	assert_line "lib/links.c:7: atoi() is not for this file; use lib/units.h"
	assert_line --partial "lib/links.c:8: puts()"
	assert_line --partial "lib/links.c:9: exit()"
	assert_line "lint: 1 checks, 7 problems"
}

@test "functions: at home they are welcome" {
	write lib/memory.c "p = malloc(1);"
	write lib/clock.c "clock_gettime(id, &now);"
	write lib/units.c "a = strtod(b, &end);"
	write cmd/main.c 'printf("x");'
	lint functions
	assert_success
}

@test "scripts: what shellcheck finds" {
	# shellcheck disable=SC2016 # for the planted script
	write tests/go '#!/bin/sh' 'rm $1'
	finds scripts "tests/go:2:4: note: Double quote to prevent globbing"
}

@test "analysis: what cppcheck finds" {
	write lib/links.c "int f(void)" "{" $'\tint a[2];' "" $'\ta[2] = 0;' $'\treturn a[2];' "}"
	finds analysis "lib/links.c:5: Array 'a[2]' accessed at index 2, which is out of bounds. [arrayIndexOutOfBounds]"
}

@test "manual: what mandoc warns of" {
	write man/dstrain.1 ".Dd November 1, 2026" ".Dt DSTRAIN 1" ".Os" ".Sh NAME" ".Nm dstrain" \
		".Nd train" ".Sh DESCRIPTION" ".Bogus"
	finds manual "man/dstrain.1:8:2: ERROR: skipping unknown macro"
}

@test "text: blanks at line ends and unfinished marks" {
	write lib/links.c "int links; " "/* TO""DO: more */"
	finds text "lib/links.c:1: blanks at the end of the line"
	assert_line --partial "lib/links.c:2:/* TO""DO: more */"
}

@test "text: what a merge left" {
	write man/page "one" "<<<<<<""< HEAD" "two" "=======" ">>>>>>""> main"
	finds text "man/page:2:<<<<<<""< HEAD (a merge was not finished)"
	assert_line "man/page:5:>>>>>>""> main (a merge was not finished)"
	assert_line "lint: 1 checks, 2 problems"
}

@test "paths: documents name what is here" {
	write README.md "See lib/links.c, lib/, lib/*.c and runs/NAME; not lib/gone.c or ../elsewhere."
	finds paths "README.md:1: there is no lib/gone.c"
	assert_line "README.md:1: names a place outside the repository"
	assert_line "lint: 1 checks, 2 problems"
}

@test "a missing tool is not taken for a clean tree" {
	mkdir bin
	for tool in bash dirname git env; do ln -s "$(command -v $tool)" bin/; done
	PATH=$PWD/bin run tests/lint/run
	assert_failure
	assert_output --partial "run make deps"
}
