#!/usr/bin/env bats
# Ranks that mix with their neighbours in a graph: runs, stops, what is refused, graphs of links.

bats_require_minimum_version 1.5.0

load dstrain

mix() { # STRATEGY FLAGS...
	train --quiet --hosts local:6 --set sync.strategy="$1" "${@:2}"
}

# The last evaluation is that of the model, which is the mean of the ranks; bsp comes to 0.52.
assert_trained() {
	run --separate-stderr ./dstrain eval run --json
	assert_success
	python3 - "$output" <<-'END'
	import json, sys
	evaluated = json.loads(sys.argv[1])["loss"]
	lines = list(map(json.loads, open("run/metrics.jsonl")))
	trained = [line["loss"] for line in lines if line["kind"] == "eval"][-1]
	steps = [line for line in lines if line["kind"] == "step"]
	assert abs(evaluated - trained) < 1e-6 * (1 + trained), (evaluated, trained)
	assert trained < 0.65, trained
	assert all(1 <= s["participants"] <= 6 and 0 <= s["consensus_distance"] < 1 for s in steps), steps[-1]
	END
}

@test "every strategy and graph trains as bsp does" {
	for flags in dpsgd/ring dpsgd/torus dpsgd/erdos_renyi sgp/one_peer sgp/random; do
		rm -rf run
		mix "${flags%/*}" --set sync.graph="${flags#*/}"
		assert_trained
	done
}

@test "a run that was stopped and resumed is the same as one that was not" {
	for flags in dpsgd sgp "choco --set compress=topk --set compress.share=0.2" "push_sum_compressed --set compress=qsgd"; do
		# shellcheck disable=SC2086 # words
		set -- $flags
		rm -rf whole run
		mix "$@" --run-dir whole --set train.steps=62
		mix "$@" --set train.steps=29
		./dstrain resume run --quiet --set train.steps=62
		diff <(losses whole | grep '"kind":"step"') <(losses run | grep '"kind":"step"')
		assert_equal "$(digests whole)" "$(digests run)"
	done
}

@test "compressed differences train as well, and send less" {
	for strategy in choco push_sum_compressed; do
		rm -rf run
		mix "$strategy" --set compress=int8
		assert_trained
		python3 -c '
import json
r = json.load(open("run/result.json"))
assert r["compression_ratio"] > 2 and 8 <= r["bits_per_coordinate"] < 10, r'
	done
}

@test "a scheme that cannot be obeyed is an error of the recipe" {
	run -2 ./dstrain check recipe.yaml --set sync=dpsgd --set compress=topk
	assert_output --partial "compress.scheme: sync.strategy 'dpsgd' sends its weights as they are; leave compress out, or take 'choco' or 'push_sum_compressed'"
	run -2 ./dstrain check recipe.yaml --set sync=choco --set compress=powersgd
	assert_output --partial "compress.scheme: sync.strategy 'choco' sends each rank a message of its own"
}

@test "a graph of links takes those that the plan knows" {
	cat >racks.yaml <<-'END'
		nic: 1gbit
		uplink: 100mbit
		racks:
		  r1: h[1-2]
		  r2: h[3-4]
	END
	train --quiet --emulate racks.yaml --set sync=dpsgd --set sync.graph=links
	run -1 ./dstrain run recipe.yaml --run-dir other --set sync=dpsgd --set sync.graph=links
	assert_output --partial "sync.graph: nothing is known of the links"
}
