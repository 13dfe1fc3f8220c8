#!/usr/bin/env bats
# bats file_tags=long
# A few random faults, and what dstrain promises of them. The long run: tests/storm/storm --seed 1 --rounds 200

bats_require_minimum_version 1.5.0

setup() {
	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	bats_load_library bats-support
	bats_load_library bats-assert
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	cd "$BATS_TEST_TMPDIR" || return
}

storm() {
	LAB_DIR=$PWD/labs SLACK=7 "$BATS_TEST_DIRNAME/storm/storm" --program "$DSTRAIN" "$@"
}

@test "eight random faults: no hang, no orphan, no torn checkpoint, the same training in the end" {
	run storm --seed 11 --rounds 8
	assert_success
	assert_output --regexp "8 rounds, 0 failures, longest end [0-9.]+ s \(deadline [0-9.]+ s\)"
}

@test "a storm notices what it is there to notice" {
	# A dstrain that forgets to say who is to blame.
	# shellcheck disable=SC2016 # for the inner shell
	printf '#!/bin/sh\n%s "$@" 2>/dev/null; s=$?; echo lost >&2; exit $s\n' "$DSTRAIN" >forgetful
	chmod +x forgetful
	run storm --seed 11 --first 3 --rounds 1 --only session-kill --program "$PWD/forgetful" # at a checkpoint
	assert_failure
	assert_output --partial "FAILED"
	assert_output --partial "the message names another than the victim"
	assert_output --partial "storm --seed 11 --first 3 --rounds 1"
}
