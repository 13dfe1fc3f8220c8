#!/usr/bin/env bats
# Files, memory and disk that run out: one line that says what, and what to do; nothing hangs.

load dstrain

@test "too few open files for so many workers is said before anything starts" {
	run bash -c 'ulimit -n 40 && exec ./dstrain run recipe.yaml --hosts local:8 --run-dir run'
	assert_failure 1
	assert_output --regexp "8 workers on 1 host need up to [0-9]+ open files, and the limit is 40; raise it, as with: ulimit -n [0-9]+"
	[ ! -s run/metrics.jsonl ]
}

@test "a soft limit on open files is raised as far as it is needed" {
	run bash -c 'ulimit -Sn 40 && exec ./dstrain run recipe.yaml --hosts local:8 --run-dir run --set train.steps=5'
	assert_success
}

@test "a worker without address space for matrix products says so and ends" {
	run bash -c 'ulimit -v 300000 && exec timeout 60 ./dstrain run recipe.yaml --run-dir run'
	assert_failure 1
	assert_output --regexp "error: rank [01] on 'local': out of memory: no 128 MiB of address space"
}

@test "a model that no memory holds is refused with both numbers" {
	run timeout 60 ./dstrain run recipe.yaml --run-dir run --hosts local:1 --set 'model.hidden=[60000, 65000, 65000, 65000, 65000, 65000, 65000, 65000, 65000]'
	[ "$status" != 0 ]
	assert_output --regexp "out of memory: "
}
