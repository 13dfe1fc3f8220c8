#!/usr/bin/env bats
# Weights averaged in groups that change: runs, stops within a period, and what is refused.

bats_require_minimum_version 1.5.0

load dstrain

# Eight ranks are in agreement after three steps.
divide() { # [FLAGS]
	train --quiet --hosts local:8 --set sync.strategy=ds_sync "$@"
}

# The last evaluation of the run is that of its last model, which is the mean of all ranks.
assert_evaluated_the_mean() {
	run --separate-stderr ./dstrain eval run --json
	assert_success
	python3 - "$output" <<-'END'
	import json, sys
	evaluated = json.loads(sys.argv[1])["loss"]
	lines = map(json.loads, open("run/metrics.jsonl"))
	trained = [line["loss"] for line in lines if line["kind"] == "eval"][-1]
	assert abs(evaluated - trained) < 1e-6 * (1 + trained), (evaluated, trained)
	assert trained < 0.65, trained # bsp: 0.52
	END
}

@test "every variant and schedule trains as bsp does, and evaluates the mean of the ranks" {
	for flags in step_then_average/planned average_then_step/random overlap/radix overlap/rotating; do
		rm -rf run
		divide --set sync.variant=${flags%/*} --set sync.schedule=${flags#*/}
		assert_evaluated_the_mean
	done
}

@test "a run that was stopped within a period and resumed is the same as one that was not" {
	for flags in "variant=average_then_step schedule=random" "variant=overlap momentum=yes"; do
		set --
		for flag in $flags; do
			set -- "$@" --set "sync.$flag"
		done
		rm -rf whole run
		divide "$@" --run-dir whole --set train.steps=62
		divide "$@" --set train.steps=31 # one step into a period of three
		./dstrain resume run --quiet --set train.steps=62
		assert_same_training whole run
	done
}

@test "averages that are compressed train as well, send less, and go on bit for bit" {
	sent() {
		python3 -c 'import json, sys; print(sum(line["payload_sent"] for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if line["kind"] == "step"))' "$1"
	}
	divide --run-dir whole --set train.steps=62
	divide --run-dir half --set train.steps=62 --set compress=fp16
	[ "$(sent half)" -lt $(($(sent whole) * 2 / 3)) ]
	divide --set train.steps=31 --set compress=fp16
	assert_evaluated_the_mean
	./dstrain resume run --quiet --set train.steps=62
	assert_same_training half run
}

@test "stopped at any step it goes on bit for bit" {
	local end

	begin 20 --hosts local:4 --set sync.strategy=ds_sync --set sync.variant=overlap --set train.steps=1000000
	# shellcheck disable=SC2154 # set by begin
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
	wait_for 8 nothing_runs
	end=$(($(steps_of run) + 25))
	./dstrain resume run --quiet --set train.steps=$end
	train --quiet --run-dir whole --hosts local:4 --set sync.strategy=ds_sync --set sync.variant=overlap \
		--set train.steps=$end
	assert_same_training whole run
}

@test "a number of ranks that is a prime, and one rank alone" {
	for ranks in 1 5; do
		rm -rf run
		divide --hosts local:$ranks
		assert_evaluated_the_mean
	done
}

@test "other ranks go on from the mean of those that were stopped within a period" {
	loss() {
		./dstrain eval run --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["loss"])'
	}
	divide --set train.steps=31
	before=$(loss)
	run ./dstrain resume run --hosts local:5 --set train.steps=32 --set train.optimizer.lr=1e-12
	assert_success
	assert_output --partial "5 ranks instead of 8"
	python3 -c 'import sys; a, b = map(float, sys.argv[1:]); assert abs(a - b) < 1e-5, (a, b)' "$before" "$(loss)"
}

@test "what is refused" {
	run divide --set compress=fp16 --set sync.momentum=yes
	assert_failure 1
	assert_output --partial "sync.momentum: averages are not compressed; leave it out, or use compress.scheme: none"
	run divide --set compress=fp16 --set sync.schedule=random
	assert_failure 1
	assert_output --partial "sync.schedule: random groups cannot be compressed"
	run divide --set 'sync.radix=[2, 3]'
	assert_failure 1
	assert_output --partial "sync.radix: its product has to be the number of ranks, which is 8"
}
