#!/usr/bin/env bats
# dstrain sample: text from a transformer that was trained on characters.

bats_require_minimum_version 1.5.0

load dstrain

# A text that is easily learned, and a model that learns it.
trained() {
	for _ in $(seq 300); do echo 'hello world, how are you'; done >text
	cat >text.yaml <<-'EOF'
	name: text
	data: {format: text, train: text, context: 16}
	model: {preset: gpt, layers: 2, width: 32, heads: 2, gelu: tanh}
	train: {batch: 16, epochs: 6, optimizer: {name: adamw, lr: 0.003}}
	EOF
	./dstrain run text.yaml --run-dir run --hosts local:2 --quiet
}

# shellcheck disable=SC2154 # stderr is set by run
@test "a trained model goes on as its text did" {
	trained
	run --separate-stderr ./dstrain sample run --prompt 'hello wor' --tokens 40 --temperature 0
	assert_success
	assert_output "hello world, how are you
hello world, how are you"
	assert_equal "$stderr" ""
	# Not a word more than asked for; by default it begins with a new line.
	run --separate-stderr ./dstrain sample run/checkpoints/*/model.safetensors --recipe text.yaml \
		--tokens 5 --top-k 1
	assert_output "
hello"
	run --separate-stderr ./dstrain sample run --prompt 'you' --tokens 0
	assert_output you
}

@test "the seed decides what is drawn" {
	trained
	first=$(./dstrain sample run --tokens 100 --temperature 3 --seed 1)
	assert_equal "$(./dstrain sample run --tokens 100 --temperature 3 --seed 1)" "$first"
	assert [ "$(./dstrain sample run --tokens 100 --temperature 3 --seed 2)" != "$first" ]
	assert_equal "$(./dstrain sample run --tokens 100 --temperature 3 --seed 1 --set train.threads=2)" "$first"
}

@test "what cannot be sampled is said" {
	trained
	run ./dstrain sample run --prompt 'hello, #1'
	assert_failure 1
	assert_output "dstrain: error: nothing in the training data is like the prompt from its byte 8 on: '#1'"
	run ./dstrain sample run --temperature -1
	assert_failure 2
	run ./dstrain sample nowhere
	assert_failure 2
	rm -rf run
	train --quiet
	run ./dstrain sample run
	assert_failure 1
	assert_output --partial "are no text whose words are known; see format 'text'"
}
