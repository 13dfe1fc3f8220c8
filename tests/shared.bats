#!/usr/bin/env bats
# Memory that the workers of a host share: chosen by itself, done without where it cannot be.
# shellcheck disable=SC2154 # names of dstrain.bash

load dstrain

@test "with and without shared memory, and where it cannot be made, the losses are the same" {
	mkdir -m 700 runtime
	export XDG_RUNTIME_DIR=$PWD/runtime
	train --hosts local:3 --run-dir a --set train.steps=30
	train --hosts local:3 --run-dir b --set train.steps=30 --set transport.shared_memory=no
	(ulimit -f 8000 && train --hosts local:3 --run-dir c --set train.steps=30)
	assert_same_training a b
	assert_same_training a c
	run cat c/logs/rank-0.log
	assert_output --regexp "the ranks of 'local' share no memory, and use TCP: rank 0: .*the limit of file sizes"
	run cat a/logs/rank-0.log b/logs/rank-0.log c/logs/rank-1.log c/logs/rank-2.log
	refute_output --partial "share no memory"
	run ls -A runtime
	assert_output ""
}

@test "a worker that is killed is missed at once by those that share its memory" {
	begin 120 --hosts local:4 "${endless[@]}"
	kill -9 "$(workers | sort -n | sed -n 3p)"
	from=$EPOCHREALTIME status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 3
	[ "$(seconds_since "$from")" -lt 20 ]
	run cat said
	assert_output --partial "rank 2 on 'local' was killed by SIGKILL (9)"
}

@test "two runs at once do not meet" {
	train --hosts local:3 --run-dir a --set train.steps=100 &
	train --hosts local:3 --run-dir b --set train.steps=100 --set seed=9
	wait $!
	train --hosts local:3 --run-dir c --set train.steps=100
	train --hosts local:3 --run-dir d --set train.steps=100 --set seed=9
	assert_same_training a c
	assert_same_training b d
}
