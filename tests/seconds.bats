#!/usr/bin/env bats
# train.seconds: a run ends when its time is over, as if there were no more steps.
# shellcheck disable=SC2154 # names of dstrain.bash

bats_require_minimum_version 1.5.0

load dstrain

# The last evaluation is of the step that was saved last, which is not the recipe's.
assert_ended_whole() { # DIR
	python3 - "$1" "$(basename "$(newest "$1")")" <<-'END'
	import json, sys
	evals = [line for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if line["kind"] == "eval"]
	assert len(evals) == 1, evals
	assert 0 < evals[0]["step"] < 1000000 and sys.argv[2] == "step-%d" % evals[0]["step"], (evals, sys.argv)
	END
}

@test "where ranks go step by step all end at the same one, evaluated and saved" {
	for strategy in bsp local_sgd; do
		rm -rf run
		train --quiet --hosts local:3 --set sync=$strategy "${endless[@]}" --set train.seconds=1s
		assert_ended_whole run
	done
}

@test "where ranks go at their own pace they meet when the time is over" {
	train --quiet --hosts local:3 --set sync=asp "${endless[@]}" --set train.seconds=1s
	assert_ended_whole run
	grep -q '"kind":"eval".*"worst_accuracy"' run/metrics.jsonl
}

@test "what was trained before counts when a run goes on, and more time is more steps" {
	local first second

	train --quiet "${endless[@]}" --set train.seconds=1s
	first=$(steps_of run)
	./dstrain resume run --quiet --set train.seconds=2s
	second=$(steps_of run)
	[ "$second" -gt "$first" ]
	./dstrain status run --json | grep -q '"done"'
	python3 - <<-'END'
	import json
	manifests = json.load(open(max(__import__("glob").glob("run/checkpoints/step-*/manifest.json"), key=lambda p: int(p.split("step-")[1].split("/")[0]))))
	assert 2 <= manifests["elapsed_s"] < 60, manifests["elapsed_s"]
	END
}

@test "a run that comes to its last step before has time left" {
	train --quiet --set train.steps=10 --set train.seconds=10m
	assert_equal "$(steps_of run)" 10
	run -2 ./dstrain check recipe.yaml --set train.seconds=-1s
	assert_output --partial "train.seconds"
}
