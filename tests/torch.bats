#!/usr/bin/env bats
# PyTorch as the judge: golden figures are still its own, and it reads our checkpoints.
# shellcheck disable=SC2094  # 'logits' is a command there, and a file here

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	torch=$BATS_TEST_DIRNAME/torch
	export OMP_NUM_THREADS=1 # more of them wait for each other by computing
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	cd "$BATS_TEST_TMPDIR" || return
}

# Four features and one of three classes a line.
samples() {
	awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed)
		for (i = 0; i < n; i++) {
			for (k = s = 0; k < 4; k++) { x = rand(); s += x; printf "%.5f,", x }
			print (s < 1.7) ? 0 : (s < 2.3) ? 1 : 2
		} }'
}

@test "the golden trajectories are what the installed PyTorch computes" {
	run "$torch/trajectory.py" --check
	assert_success
}

@test "PyTorch loads a trained model's state_dict strictly, with the same loss and accuracy" {
	samples 3000 1 >train.csv
	samples 500 2 >test.csv
	for activation in relu tanh sigmoid; do
		cat >r.yaml <<-END
			data: {format: csv, train: train.csv, test: test.csv}
			model: {preset: mlp, hidden: [24, 12], activation: $activation}
			train: {epochs: 3, batch: 50, optimizer: {name: adam, lr: 0.01}}
		END
		"$DSTRAIN" run r.yaml --hosts local:3 --run-dir "$activation" --quiet
		model=$activation/checkpoints/step-180/model.safetensors
		run "$torch/safetensors.py" show "$model"
		assert_success
		assert_line --regexp '^fc1\.weight 24x4 '
		assert_line --regexp '^fc3\.bias 3 '
		cut -d , -f 1-4 test.csv | tr , ' ' >inputs
		"$torch/safetensors.py" logits "$model" "$activation" <inputs >logits
		/usr/bin/python3 - "$activation/metrics.jsonl" <<-'END'
			import json, math, sys
			logits = [[float(x) for x in line.split()] for line in open("logits")]
			labels = [int(line.split(",")[4]) for line in open("test.csv")]
			loss = sum(math.log(sum(math.exp(x) for x in row)) - row[y] for row, y in zip(logits, labels))
			right = sum(row.index(max(row)) == y for row, y in zip(logits, labels))
			last = [json.loads(line) for line in open(sys.argv[1])][-1]
			assert len(logits) == len(labels) == 500
			assert last["kind"] == "eval", last
			assert abs(loss / 500 - last["loss"]) < 1e-5, (loss / 500, last)
			assert right / 500 == last["accuracy"], (right, last)
		END
	done
}

@test "softmax regression and the SVM load as a single linear layer" {
	samples 500 1 >train.csv
	for preset in softmax svm; do
		printf 'data: {format: csv, train: train.csv}\nmodel: %s\ntrain: {epochs: 1, batch: 50}\n' \
			$preset >r.yaml
		"$DSTRAIN" run r.yaml --hosts local:1 --run-dir $preset --quiet
		run "$torch/safetensors.py" show $preset/checkpoints/step-10/model.safetensors
		assert_success
		assert_line --regexp '^fc1\.weight 3x4 '
	done
}

# Each in an empty directory.
understood() { # PRESET
	run "$torch/checkpoint.py" "$DSTRAIN" "$1"
	assert_success
	assert_output ''
}

@test "PyTorch loads a lenet5 and dstrain PyTorch's, with the same logits" {
	understood lenet5
}

@test "PyTorch loads a resnet20 and dstrain PyTorch's, with the same logits" {
	understood resnet20
}

@test "PyTorch loads a vgg11-small and dstrain PyTorch's, with the same logits" {
	understood vgg11-small
}

@test "PyTorch loads a fasttext and dstrain PyTorch's, with the same logits" {
	understood fasttext
}

@test "PyTorch loads a gpt and dstrain PyTorch's, with the same logits" {
	understood gpt
}
