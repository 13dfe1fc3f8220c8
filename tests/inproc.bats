#!/usr/bin/env bats
# Ranks as threads of one process: transport inproc.
# shellcheck disable=SC2031,SC2154 # every test is a shell of its own

load dstrain

@test "all ranks are in one process, and train as over the network" {
	begin 10 --hosts local:8 --set transport=inproc --set train.steps=1000000
	assert_equal "$(workers | wc -l)" 1
	assert_equal "$(find run/logs -name 'rank-*')" run/logs/rank-0.log
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
	train --run-dir a --hosts local:8 --set transport=inproc --set train.steps=30
	train --run-dir b --hosts local:8 --set transport=tcp --set train.steps=30
	assert_same_training a b
}

@test "its process is lost with all ranks" {
	begin 10 --hosts local:4 --set transport=inproc --set train.steps=1000000
	kill -9 "$(workers)"
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 3
	run cat said
	assert_output --partial "error: ranks 0 to 3 on 'local' were killed by SIGKILL (9)"
}

@test "a rank that fails takes the others with it" {
	run train --hosts local:4 --set transport=inproc --set train.optimizer.lr=1e6 --set train.steps=500
	assert_failure 1
	assert_output --partial "is not finite at step"
}

@test "it is for one machine" {
	run train --hosts 192.0.2.1:2,192.0.2.2:2 --set transport=inproc
	assert_failure
	assert_output --partial "keeps all ranks in one process here"
	assert_output --partial "local:4"
	run train --run-dir two --hosts 192.0.2.1:2 --set transport=inproc
	assert_failure
	assert_output --partial "keeps all ranks in one process here"
}
