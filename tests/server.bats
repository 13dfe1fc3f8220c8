#!/usr/bin/env bats
# The parameter server: its strategies train, hold what they promise, stop and go on, and refuse.
# shellcheck disable=SC2154 # names of dstrain.bash

bats_require_minimum_version 1.5.0

load dstrain

# A step lasts on every rank, or a holder that finds a processor free does all of them, on its own samples alone.
serve() { # STRATEGY [FLAGS]
	rm -rf run
	train --quiet --hosts local:4 --set fault.compute=2ms --set sync="$1" "${@:2}"
}

last_loss() { # DIR
	python3 -c 'import json, sys
print([line["loss"] for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if line["kind"] == "eval"][-1])' "$1"
}

below() { # NUMBER LIMIT
	python3 -c 'import sys; sys.exit(not float(sys.argv[1]) < float(sys.argv[2]))' "$1" "$2"
}

# What the run evaluated is what it saved: the holders' values.
assert_evaluated_what_was_saved() {
	run --separate-stderr ./dstrain eval run --json
	assert_success
	python3 - "$output" "$(last_loss run)" <<-'END'
	import json, sys
	evaluated, trained = json.loads(sys.argv[1])["loss"], float(sys.argv[2])
	assert abs(evaluated - trained) < 1e-6 * (1 + trained), (evaluated, trained)
	END
}

@test "every strategy trains, and evaluates what it saves" {
	for strategy in asp ssp bsp_ps kardam; do
		serve $strategy
		assert_evaluated_what_was_saved
		below "$(last_loss run)" 0.9 # nothing learned: 1.39
	done
}

@test "whoever holds the parameters, and computes ahead or not, they train" {
	serve asp --set sync.servers=[2] --set sync.overlap=no --set sync.dampening=inverse
	below "$(last_loss run)" 0.9
	serve ssp --set sync.servers=[3,0] --set sync.bound=1 --set sync.overlap=no
	assert_evaluated_what_was_saved
	below "$(last_loss run)" 0.9
}

@test "bsp_ps comes to what bsp comes to, also when it was stopped in between" {
	serve bsp --run-dir whole --set train.optimizer.momentum=0
	serve bsp_ps --set train.optimizer.momentum=0 --set train.steps=31
	./dstrain resume run --quiet --set train.steps=62
	python3 - "$(last_loss whole)" "$(last_loss run)" <<-'END'
	import sys
	bsp, ours = map(float, sys.argv[1:])
	assert abs(bsp - ours) < 0.01 * bsp, (bsp, ours) # some ranks may be a step ahead
	END
}

@test "an asynchronous run that was stopped goes on, and its clocks with it" {
	serve ssp --set train.steps=31
	./dstrain resume run --quiet --set train.steps=62
	assert_evaluated_what_was_saved
	below "$(last_loss run)" 0.9
}

@test "metrics tell how late updates come, and how many are refused" {
	serve kardam
	python3 - <<-'END'
	import json
	steps = [line for line in map(json.loads, open("run/metrics.jsonl")) if line["kind"] == "step"]
	assert all(0 < line["accepted"] <= 1 for line in steps[-10:])
	assert all(0 <= line["staleness"] <= line["staleness_most"] for line in steps[-10:])
	assert all(line["waited_s"] >= 0 for line in steps)
	END
}

@test "kardam bears a rank that lies, of which asp learns nothing" {
	for kind in sign_flip nan; do
		serve kardam --set train.optimizer.momentum=0 --set train.epochs=4 \
			--set fault.rank=3 --set fault.kind=$kind
		below "$(last_loss run)" 0.9
	done
	run -1 serve asp --set train.optimizer.momentum=0 --set fault.rank=3 --set fault.kind=nan
	assert_output --partial "not finite"
}

@test "what is pushed is compressed, and what is pulled is not" {
	serve asp --set compress=int8
	below "$(last_loss run)" 0.9
	python3 - <<-'END'
	import json
	r = json.load(open("run/result.json"))
	assert 8 <= r["bits_per_coordinate"] < 10 and 1.3 < r["compression_ratio"] < 2, r
	END
	serve bsp_ps --set compress=dq_sgd
	grep -q '"compress_level":[2-8]' run/metrics.jsonl
	below "$(last_loss run)" 0.9
}

@test "kardam sees what compressed updates say, and ends where there is no such number" {
	serve kardam --set train.optimizer.momentum=0 --set train.epochs=4 --set fault.rank=3 \
		--set fault.kind=sign_flip --set compress=int8
	below "$(last_loss run)" 0.9
	run -3 serve kardam --set fault.rank=3 --set fault.kind=nan --set compress=int8
	assert_output --partial "has a number that is not finite"
}

@test "a compressed run that was stopped goes on with what it owes" {
	serve bsp_ps --set compress=topk --set train.optimizer.momentum=0 --set train.steps=31
	./dstrain resume run --quiet --set train.steps=124
	assert_evaluated_what_was_saved
	below "$(last_loss run)" 0.9
}

@test "what a parameter server cannot do is refused" {
	run serve asp --set compress=powersgd
	assert_failure
	assert_output --partial "sync.strategy 'asp' sends each rank a message of its own, and factors are for sums"
	run serve kardam --set sync.tolerate=2
	assert_failure
	assert_output --partial "sync.tolerate: 2 of 4 ranks cannot be told from the others; that takes 7 ranks"
	run serve ssp --set sync.bound=1
	assert_failure
	assert_output --partial "sync.bound: at least 2"
	run serve bsp_ps --set sync.servers=[4]
	assert_failure
	assert_output --partial "sync.servers: no rank 4; there are 4, from 0 on"
}

@test "a run that lost a rank ends with status 3, and does not hang" {
	local status=0

	begin 20 --hosts local:4 --set sync=ssp "${endless[@]}"
	kill -9 "$(workers | head -n 1)"
	wait "$orchestrator" || status=$?
	assert_equal "$status" 3
}
