#!/usr/bin/env bats
# dstrain eval: a checkpoint, a run or a file, on the recipe's test data or on others.

bats_require_minimum_version 1.5.0

load dstrain

value() { # KEY: of the JSON in $output
	python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$output" "$1"
}

near() { # NUMBER NUMBER
	python3 -c 'import sys; a, b = map(float, sys.argv[1:]); assert abs(a - b) < 1e-6 * (1 + abs(b)), (a, b)' "$@"
}

last_eval() { # KEY: of the last evaluation in training
	python3 -c 'import json, sys
print([e for e in map(json.loads, open("run/metrics.jsonl")) if e["kind"] == "eval"][-1][sys.argv[1]])' "$1"
}

# Four features and one of three classes a line.
samples() { # COUNT SEED
	awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed)
		for (i = 0; i < n; i++) {
			for (k = s = 0; k < 4; k++) { x = rand(); s += x; printf "%.5f,", x }
			print (s < 1.7) ? 0 : (s < 2.3) ? 1 : 2
		} }'
}

@test "a run, its newest checkpoint and the file in it give what training saw last" {
	train --quiet
	for what in run run/ "$PWD/run" run/checkpoints/step-62 run/checkpoints/step-62/model.safetensors; do
		run --separate-stderr ./dstrain eval "$what" --json
		assert_success
		assert_equal "$(value samples)" 2000
		assert_equal "$(value accuracy)" "$(last_eval accuracy)"
		near "$(value loss)" "$(last_eval loss)"
	done
	run --separate-stderr ./dstrain eval run/checkpoints/step-60 --json
	assert_equal "$(value step)" 60
	assert_equal "$(value model)" run/checkpoints/step-60/model.safetensors
	run ./dstrain eval run
	assert_success
	assert_line --regexp '^accuracy +[0-9.]+ %$'
	assert_line --regexp '^loss +[0-9.]+$'
}

@test "a damaged checkpoint is refused; of a run the newest one that is whole is taken" {
	train --quiet
	printf x | dd of=run/checkpoints/step-62/model.safetensors bs=1 seek=200 conv=notrunc status=none
	run ./dstrain eval run/checkpoints/step-62
	assert_failure 1
	assert_output --partial "the checksum of 'model.safetensors' is wrong"
	run --separate-stderr ./dstrain eval run --json
	assert_success
	assert_equal "$(value step)" 60
	rm run/checkpoints/step-60/manifest.json
	run ./dstrain eval run
	assert_failure 1
	assert_output --partial "no valid checkpoint"
}

@test "other test data, by flag or key" {
	samples 300 1 >train.csv
	samples 100 2 >test.csv
	samples 50 3 >other.csv
	cat >recipe.yaml <<-'END'
		data: {format: csv, train: train.csv, test: test.csv, standardise: yes}
		model: softmax
		train: {epochs: 2, batch: 50}
	END
	train --quiet
	run --separate-stderr ./dstrain eval run --json --data other.csv
	assert_success
	assert_equal "$(value samples)" 50
	loss=$(value loss)
	cd run
	run --separate-stderr ../dstrain eval . --json --set data.test=../other.csv
	assert_success
	assert_equal "$(value loss)" "$loss"
	run ../dstrain eval . --data missing.csv
	assert_failure 2
	assert_output --partial "data.test: "
	run ../dstrain eval . --set data.tset=../other.csv
	assert_failure 2
	assert_output --partial "did you mean"
}

@test "data without a test part are an error" {
	train --quiet
	run ./dstrain eval run --set data.test_samples=0
	assert_failure 1
	assert_output --partial "no test data"
}

@test "values instead of classes have a loss and no accuracy" {
	train --quiet --set data.task=regress --set train.optimizer.lr=0.01
	run --separate-stderr ./dstrain eval run --json
	assert_success
	assert_equal "$(value accuracy)" None
	near "$(value loss)" "$(last_eval loss)"
	run ./dstrain eval run
	refute_output --partial accuracy
}

@test "the number of threads changes nothing" {
	train --quiet
	run --separate-stderr ./dstrain eval run --json
	one=$output
	run --separate-stderr ./dstrain eval run --json --set train.threads=2
	assert_equal "$output" "$one"
}

@test "a file outside a run needs a recipe, and must be of its model" {
	train --quiet --set train.steps=20
	cp run/checkpoints/step-20/model.safetensors other.safetensors
	run ./dstrain eval other.safetensors
	assert_failure 2
	assert_output --partial "name its recipe with --recipe"
	run ./dstrain eval other.safetensors --recipe recipe.yaml
	assert_success
	run ./dstrain eval other.safetensors --recipe recipe.yaml --set 'model.hidden=[32, 7]'
	assert_failure 1
	assert_output --partial "missing 'fc3.weight', 'fc3.bias'"
	assert_output --partial "'fc2.weight' has shape [4, 32] instead of [7, 32]"
	run ./dstrain eval other.safetensors --recipe recipe.yaml --set 'model.hidden=[]'
	assert_failure 1
	assert_output --partial "unexpected 'fc2.weight', 'fc2.bias'"
	run ./dstrain eval recipe.yaml --recipe recipe.yaml
	assert_failure 1
	assert_output --partial "not a safetensors file"
}

@test "what does not exist is a usage error" {
	run ./dstrain eval nowhere
	assert_failure 2
	assert_output --partial "no 'nowhere'"
	run ./dstrain eval
	assert_failure 2
}
