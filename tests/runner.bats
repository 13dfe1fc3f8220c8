#!/usr/bin/env bats
# tests/run counts what ran, and nothing that goes wrong is counted as passed.

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p tests build/tests/unit
	cp "$BATS_TEST_DIRNAME/run" tests/
	unset RESULTS LIMIT CI
}

# A unit test binary NAME that prints its standard input and then runs COMMAND.
unit() {
	{
		echo '#!/bin/sh'
		echo "cat <<'END'"
		cat
		echo END
		echo "$2"
	} >"build/tests/unit/$1"
	chmod +x "build/tests/unit/$1"
}

last_line_is() {
	assert_equal "${lines[-1]}" "$1"
}

@test "passed tests are summed over binaries and bats files" {
	unit a_test 'exit 0' <<<$'1..2\nok 1 - one\nok 2 - two'
	unit b_test 'exit 0' <<<$'1..1\nok 1 - one'
	echo '@test "three" { true; }' >tests/c.bats
	run tests/run units build bats
	assert_success
	last_line_is "4 passed, 0 failed"
}

@test "a failed test is shown in full and fails the run" {
	unit a_test 'exit 1' <<<$'1..2\nok 1 - good\nnot ok 2 - bad\n# 1 != 2'
	run tests/run units build
	assert_failure
	assert_line "not ok 2 - bad"
	assert_line "# 1 != 2"
	refute_line "ok 1 - good"
	last_line_is "1 passed, 1 failed"
}

@test "a crash fails every test that did not get to run" {
	# shellcheck disable=SC2016 # for the planted script
	unit a_test 'kill -SEGV $$' <<<$'1..3\nok 1 - one'
	run tests/run units build
	assert_failure
	assert_line --partial "signal 11"
	last_line_is "1 passed, 2 failed"
}

@test "a bad end after good tests is a failure" {
	unit a_test 'exit 1' <<<$'1..1\nok 1 - one'
	run tests/run units build
	assert_failure
	last_line_is "1 passed, 1 failed"
}

@test "a binary without tests is a failure" {
	unit a_test 'exit 0' <<<""
	run tests/run units build
	assert_failure
	last_line_is "0 passed, 1 failed"
}

@test "a test that hangs is stopped and counted" {
	unit a_test 'exec sleep 60' <<<$'1..1'
	LIMIT=1 run tests/run units build
	assert_failure
	assert_line --partial "it took more than 1 s"
	last_line_is "0 passed, 1 failed"
}

@test "a skip is counted, and is a failure in CI unless hardware is missing" {
	unit a_test 'exit 0' <<<$'1..2\nok 1 - one\nnot ok 2 # SKIP two'
	run tests/run units build
	assert_success
	last_line_is "1 passed, 0 failed, 1 skipped"
	CI=true run tests/run units build
	assert_failure
	last_line_is "1 passed, 1 failed"
	echo '@test "t" { skip "no such hardware: GPU"; }' >tests/c.bats
	CI=true run tests/run bats
	last_line_is "0 passed, 0 failed, 1 skipped"
}

@test "counts are added to a results file" {
	unit a_test 'exit 0' <<<$'1..1\nok 1 - one'
	echo "5 0 0" >results
	RESULTS=$PWD/results run tests/run units build a_test
	assert_success
	assert_equal "$(cat results)" $'5 0 0\n1 0 0'
}

# Whether files can be run side by side here.
side_by_side() {
	unshare --net --mount true 2>/dev/null ||
		skip "needs root and network namespaces (missing hardware)"
}

# A bats file NAME with the TAG and one test, which runs COMMAND.
file() { # NAME TAG COMMAND
	printf '%s\n' "# bats file_tags=$2" "@test \"$1\" {" "$3" "}" >"tests/$1.bats"
}

# shellcheck disable=SC2016 # for the planted files
both='touch "$BATS_TEST_DESCRIPTION"; until [ -e one ] && [ -e two ]; do sleep 0.02; done'

@test "files run side by side, and each is counted and reported whole" {
	side_by_side
	file one short "$both; false"
	file two short "$both; echo words of two; false"
	file three long true
	LIMIT=60 run tests/run bats
	assert_failure
	last_line_is "1 passed, 2 failed"
	assert_output --regexp $'tests/two.bats +0 passed, 1 failed, 0 skipped, [0-9]+ s\n1..1\nnot ok 1 two\n(#.*\n)+# words of two\n'
}

@test "each file has a network and labs of its own, and the network works" {
	side_by_side
	file one short "ip link add marked up type bridge; ip netns add marked; $both"
	file two short "ip link add marked up type bridge; ip netns add marked; $both; ip address show lo up | grep -q 127.0.0.1"
	LIMIT=60 run tests/run bats
	assert_success
	run ip netns list
	refute_output --partial marked
}
