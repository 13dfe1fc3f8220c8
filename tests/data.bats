#!/usr/bin/env bats
# Data files as a user names them: what is read, and what is said of what cannot be.

load dstrain

# Pictures of CIFAR's layout: COUNT records of the label 1 and zeros.
pictures() { # COUNT
	local i

	for ((i = 0; i < $1; i++)); do
		printf '\1'
		head -c 3072 /dev/zero
	done
}

# The start of a run of one step says how many samples there are.
assert_samples() { # TRAINING TEST
	run ./dstrain run recipe.yaml --hosts local:2 --run-dir run --set train.steps=1
	assert_success
	assert_output --partial "$1 training and $2 test samples"
	rm -rf run
}

data() { # what is below "data", MODEL
	printf 'data: {%s}\nmodel: %s\ntrain: {batch: 8}\n' "$1" "$2" >recipe.yaml
}

@test "files may be one or a list, packed or not" {
	pictures 20 >one
	pictures 11 | gzip >two
	data 'format: cifar10, train: [one, two], test: two' softmax
	assert_samples 31 11
	data 'format: cifar10, train: one' softmax
	assert_samples 20 0
	run ./dstrain check recipe.yaml --set 'data.train=[one, two]' --print
	assert_success
	assert_output --partial "train: [$PWD/one, $PWD/two]"
}

@test "every file of a list must be there" {
	pictures 1 >one
	data 'format: cifar10, train: [one, none, .]' softmax
	run ./dstrain check recipe.yaml
	assert_failure 2
	assert_line "recipe.yaml:1:32: data.train: cannot open 'none': No such file or directory"
	assert_line "recipe.yaml:1:32: data.train: '.' is not a regular file"
}

@test "a broken file ends the run before it starts, with the record" {
	pictures 9 >one
	printf '\13' | dd of=one bs=1 seek=3073 conv=notrunc status=none
	data 'format: cifar10, train: one' softmax
	run ./dstrain run recipe.yaml --run-dir run
	assert_failure
	assert_output --partial "'$PWD/one': record 2: label 11 is out of range 0..9"
	printf -- '-1 1:1\n+1 3:x\n' >rows
	data 'format: libsvm, train: rows' logistic
	run ./dstrain run recipe.yaml --run-dir run
	assert_failure
	assert_output --partial "$PWD/rows:2: 'x' is not a finite number"
}

@test "rows of libsvm train linear models, and mean the same as columns" {
	awk 'BEGIN { srand(3); for (i = 0; i < 400; i++) { a = rand(); b = rand()
		print a "," b "," (a > b) >"rows.csv"
		print (a > b ? "+1" : "-1"), "1:" a, "2:" b >"rows.svm" } }'
	for format in csv libsvm; do
		data "format: $format, train: rows.${format/libsvm/svm}" logistic
		train --quiet --run-dir "$format" --set train.epochs=2
	done
	run python3 -c 'import json
csv, svm = ([json.loads(line)["loss"] for line in open(name + "/metrics.jsonl")] for name in ("csv", "libsvm"))
print(len(csv) == len(svm) == 100 and all(abs(a - b) < 1e-5 for a, b in zip(csv, svm)))'
	assert_output True
}

@test "a resumed run sees the images that it would have seen" {
	cat >recipe.yaml <<-'END'
		data: {format: synthetic, samples: 500, test_samples: 0, shape: [3, 8, 8], prefetch: yes, augment: {crop: 1, flip: yes}}
		model: {preset: mlp, hidden: [16]}
		train: {batch: 32, optimizer: {lr: 0.1, momentum: 0.9}}
	END
	train --quiet --run-dir run --set train.steps=25
	./dstrain resume run --quiet --set train.steps=50
	train --quiet --run-dir whole --set train.steps=50
	assert_same_training whole run
	train --quiet --run-dir plain --set train.steps=50 --set data.augment.crop=0 --set data.augment.flip=no
	refute cmp -s plain/checkpoints/step-50/model.safetensors whole/checkpoints/step-50/model.safetensors
	train --quiet --run-dir late --set train.steps=50 --set data.prefetch=no
	assert cmp -s late/checkpoints/step-50/model.safetensors whole/checkpoints/step-50/model.safetensors
}

@test "rows have no left and right" {
	data 'format: synthetic, augment: {flip: yes}' softmax
	run ./dstrain check recipe.yaml
	assert_failure 2
	assert_output "recipe.yaml:1:43: data.augment is for images, but a sample of these data has 1 dimension"
	run ./dstrain run recipe.yaml --run-dir run --set data.augment.crop=1
	assert_failure 2
	assert_output "--set: data.augment is for images, but a sample of these data has 1 dimension"
	assert [ ! -e run ]
}

# What is used to compare with other programs.
shared() { # FILE
	[ -e "$BATS_TEST_DIRNAME/../../shared/data/$1" ] || skip "no such data: ../shared/data/$1"
	realpath "$BATS_TEST_DIRNAME/../../shared/data/$1"
}

@test "CIFAR-10's files" {
	shared cifar10
	dir=$(shared cifar10)
	data "format: cifar10, train: [$dir/jpeg_data_batch_1.bin, $dir/jpeg_data_batch_2.bin], test: $dir/jpeg_test_batch.bin" softmax
	assert_samples 20000 10000
}

@test "a9a, whose test part has a column less" {
	shared a9a
	dir=$(shared a9a)
	data "format: libsvm, train: $dir/a9a, test: $dir/a9a.t" logistic
	assert_samples 32561 16281
	run ./dstrain run recipe.yaml --run-dir run --set "data.train=$dir/a9a.t" --set "data.test=$dir/a9a"
	assert_failure
	assert_output --partial "a9a:19610: index 123, but the training samples have 122 columns; see data.features"
}

@test "a text, most of which is to train on" {
	shared tinyshakespeare
	data "format: text, train: $(shared tinyshakespeare)/input.txt, test_share: 0.002, context: 64" gpt
	assert_samples 17393 34
}

@test "a text and the tokens that stand for it train the same" {
	seq 1 2000 | tr -d '\n' >digits
	# the ten digits are numbered as they are
	fold -w 1 digits | awk '{ printf "\\%o\\0", $1 }' | xargs -0 printf >tokens
	data 'format: text, train: digits, context: 16' '{preset: gpt, layers: 1, width: 16, heads: 2}'
	train --quiet --run-dir text --set train.steps=5
	data 'format: tokens, layout: uint16, train: [tokens], context: 16' '{preset: gpt, layers: 1, width: 16, heads: 2}'
	train --quiet --run-dir numbers --set train.steps=5
	assert_same_training text numbers
}

# The model of 32 steps, which are whole periods.
averaged() { # STRATEGY SHARD
	rm -rf run
	train --quiet --hosts local:3 --set sync="$1" --set train.steps=32 --set data.shard"$2"
	sha256sum <"$(newest run)/model.safetensors"
}

@test "fedavg counts ranks by their own samples where these are uneven" {
	assert_equal "$(averaged fedavg =iid)" "$(averaged local_sgd =iid)"
	assert_equal "$(averaged fedavg .dirichlet=0.3)" "$(averaged fedavg .dirichlet=0.3)"
	[ "$(averaged fedavg .dirichlet=0.3)" != "$(averaged local_sgd .dirichlet=0.3)" ]
}
