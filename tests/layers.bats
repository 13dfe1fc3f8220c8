#!/usr/bin/env bats
# Models that a recipe lists layer by layer: what is wrong with a list, names, training, resuming.

bats_require_minimum_version 1.5.0

load dstrain

# The recipe of the other tests with the layers on standard input.
layers() {
	cat >recipe.yaml <<-'END'
		name: small
		hosts: local:2
		data: {format: synthetic, samples: 2000, features: 16, classes: 4, noise: 2}
		train: {epochs: 2, batch: 64, optimizer: {name: sgd, lr: 0.1, momentum: 0.9}}
		checkpoint: {every: 20, keep: 2}
		model:
		  layers:
	END
	sed 's/^/  /' >>recipe.yaml
}

block() { # a residual network in few words
	layers <<-'END'
		- {layer: linear, outputs: 32, name: stem}
		- relu
		- residual:
		    layers:
		      - {layer: linear, outputs: 24}
		      - {layer: dropout, rate: 0.2}
		      - relu
		      - {layer: linear, outputs: 8, name: fc2}
		    shortcut:
		      - {layer: linear, outputs: 8, bias: no}
		- relu
		- linear
	END
}

# What check says, without the cost.
refused() { # LINE...
	run --separate-stderr ./dstrain check recipe.yaml "${flags[@]}"
	assert_equal "$status" 2
	assert_equal "$output" ""
	# shellcheck disable=SC2154 # set by run
	assert_equal "$stderr" "$(printf '%s\n' "$@")"
}

tensors() { # FILE: names and shapes
	python3 - "$1" <<-'END'
	import json, struct, sys
	with open(sys.argv[1], "rb") as file:
	    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
	for name in sorted(header):
	    if name != "__metadata__":
	        print(name, header[name]["shape"])
	END
}

@test "each problem of a list has the place of its item" {
	flags=()
	layers <<-'END'
		- {layer: linaer, outputs: 32}
		- {layer: linear, outputs: x, name: a}
		- {layer: linear, output: 3, name: a}
		- {layer: linear, name: 'a b'}
		- add
		- {name: b}
		- [relu]
		- residual: {layers: []}
		- tahn
		- {layer: linear, name: abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz}
		- {layer: batch_norm, momentum: 0}
	END
	refused "recipe.yaml:8:13: no layer 'linaer'; did you mean 'linear'?" \
		"recipe.yaml:9:30: model.layers.1.outputs: 'x' is not a whole number" \
		"recipe.yaml:10:21: unknown key 'model.layers.2.output'; did you mean 'outputs'?" \
		"recipe.yaml:10:38: model.layers.2.name: 'a' names two layers" \
		"recipe.yaml:11:27: model.layers.3.name: 'a b' is no name: letters, digits, '_' and '-', and '.' between" \
		"recipe.yaml:12:5: model.layers.4.layer: 'add' has two inputs; write residual: {layers: [...]}" \
		"recipe.yaml:13:5: model.layers.5: needs a word, a key 'layer' or a key 'residual'" \
		"recipe.yaml:14:5: model.layers.6: needs a word, a key 'layer' or a key 'residual'" \
		"recipe.yaml:15:5: model.layers.7.residual.layers: lists no layer" \
		"recipe.yaml:16:5: no layer 'tahn'; did you mean 'tanh'?" \
		"recipe.yaml:17:27: model.layers.9.name: 'abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz' is longer than 40 bytes" \
		"recipe.yaml:18:35: model.layers.10.momentum: '0' is out of range: 1e-06 to 1"
}

@test "a block that lists no layer is one problem" {
	flags=()
	layers <<-'END'
		- residual: relu
		- residual: {layers: relu}
		- linear
	END
	refused "recipe.yaml:8:5: model.layers.0.residual.layers: lists no layer" \
		"recipe.yaml:9:5: model.layers.1.residual.layers: lists no layer"
}

@test "what does not fit the data or the layer before has the place of the layer" {
	block
	flags=(--set model.layers.2.residual.shortcut.0.outputs=9)
	refused "recipe.yaml:10:5: layer '2': cannot join [8] with [9]; the shortcut has to end in the shape that the block does"
	flags=(--set model.layers.4.outputs=5)
	refused "recipe.yaml:19:5: layer '4': loss 'softmax_cross_entropy' needs one output per class: 4, not 5"
	flags=(--set model.layers.4.tie=nothing)
	refused "recipe.yaml:19:5: layer '4': no layer before it has a tensor 'nothing' to share"
	flags=(--set model.loss=logistic)
	refused "--set: layer '4': loss 'logistic' needs data with 2 classes, not 4; use model 'softmax' for more, 'mlp' for values to regress"
	flags=(--set 'model.layers=[relu]' --set data.features=4)
	refused "--set: no layer has weights to train"
	flags=(--set data.classes=x --set model.loss=hnige)
	refused "--set: data.classes: 'x' is not a whole number" \
		"--set: no loss 'hnige'; did you mean 'hinge'?"
}

@test "run says the same before it starts anything" {
	block
	run ./dstrain run recipe.yaml --run-dir run --set model.layers.4.outputs=5
	assert_failure 2
	assert_output "recipe.yaml:19:5: layer '4': loss 'softmax_cross_entropy' needs one output per class: 4, not 5"
	[ ! -e run ]
}

@test "a preset or layers, not both, and one of them" {
	block
	flags=(--set model.preset=mlp)
	refused "--set: a model has a preset or layers, not both"
	layers <<<''
	flags=()
	refused "recipe.yaml:7:10: 'model.layers' needs a value" \
		"recipe.yaml: missing key 'model.preset' (model)"
	layers <<<'  []'
	refused "recipe.yaml:7:3: model.layers: lists no layer"
	layers <<<'  linear'
	refused "recipe.yaml:7:3: model.layers: lists no layer"
}

@test "a preset may have a number of layers" {
	printf 'data: {format: text, train: text}\nmodel: {preset: gpt, width: 8, heads: 2}\ntrain: {batch: 1}\n' >recipe.yaml
	head -c 3000 /usr/share/common-licenses/GPL-3 >text
	run ./dstrain check recipe.yaml --set model.layers=1 --set data.context=16
	assert_success
	run ./dstrain check recipe.yaml --set 'model.layers=[linear]'
	assert_failure 2
	assert_output "recipe.yaml:2:9: a model has a preset or layers, not both"
}

@test "a list of words is a list of layers" {
	printf 'data: {format: synthetic, classes: 2}\nmodel: {layers: [dropout, linear, tanh, linear], loss: hinge}\n' >recipe.yaml
	run ./dstrain check recipe.yaml --set model.layers.1.outputs=7 --set model.layers.3.outputs=1
	assert_success
	assert_line --regexp '^1 +linear +\[7\] +147 '
	assert_line --regexp '^3 +linear +\[1\] +8 '
	assert_line --regexp '^all +loss hinge '
	run ./dstrain check recipe.yaml --set model.layers.1.outputs=7 --set model.layers.4=linear \
		--set model.layers.4.outputs=1 --set model.loss=auto
	assert_success
	assert_line --regexp '^4 +linear +\[1\] +3 '
	assert_line --regexp '^all +loss logistic '
}

@test "--print is a recipe that prints the same, --json has lists" {
	block
	./dstrain check recipe.yaml --print >first.yaml
	./dstrain check first.yaml --print >second.yaml
	diff first.yaml second.yaml
	diff <(./dstrain check recipe.yaml | sed '$d') <(./dstrain check first.yaml | sed '$d')
	assert grep -qxF '            name: shortcut.0' <(sed 's/- name/  name/' first.yaml)
	run python3 - <(./dstrain check recipe.yaml --json) <<-'END'
	import json, sys
	it = json.load(open(sys.argv[1]))
	layers = it["recipe"]["model"]["layers"]
	print(len(layers), layers[0]["outputs"], layers[2]["residual"]["shortcut"][0]["bias"])
	model = it["model"]
	print([(row["name"], row["output"], row["parameters"]) for row in model["layers"]][-2:])
	print(model["parameters"] == sum(row["parameters"] for row in model["layers"]))
	print(model["memory"]["all"] == sum(model["memory"][key] for key in
	    ("weights", "gradient", "optimizer", "arena")))
	END
	assert_output "5 32 no
[('2', [8], 0), ('4', [4], 36)]
True
True"
}

@test "tensors are named as in nn.Sequential, or as the recipe says" {
	block
	train --set train.steps=3
	run tensors "$(newest run)/model.safetensors"
	assert_output "2.fc2.bias [8]
2.fc2.weight [8, 24]
2.layers.0.bias [24]
2.layers.0.weight [24, 32]
2.shortcut.0.weight [8, 32]
4.bias [4]
4.weight [4, 8]
stem.bias [32]
stem.weight [32, 16]"
}

@test "a listed model trains as the preset of the same layers does, and better than chance" {
	block
	train
	awk -F '"accuracy":' '/"kind":"eval"/ { split($2, a, ","); last = a[1] } END { exit !(last > 0.6) }' run/metrics.jsonl
	printf 'data: {format: synthetic, samples: 2000, classes: 4}\nmodel: {preset: mlp, hidden: [32]}\ntrain: {steps: 20}\n' >recipe.yaml
	train --run-dir preset
	train --run-dir listed --set 'model.layers=[linear, relu, linear]' --set model.layers.0.outputs=32 \
		--set model.preset=mlp 2>said || true
	assert grep -q "not both" said
	printf 'data: {format: synthetic, samples: 2000, classes: 4}\nmodel: {layers: [linear, relu, linear]}\ntrain: {steps: 20}\n' >recipe.yaml
	train --run-dir listed --set model.layers.0.outputs=32
	diff <(losses preset) <(losses listed)
}

@test "a stopped run goes on with the same layers and the same losses" {
	block
	train --run-dir whole
	train --run-dir parts --set train.steps=30
	./dstrain resume parts --set train.steps=62
	train --run-dir whole62 --set train.steps=62
	assert_equal "$(digests parts)" "$(digests whole62)"
}

@test "how weights begin" {
	local rule

	block
	for rule in kaiming xavier critical; do
		train --run-dir "$rule" --set model.init="$rule" --set train.steps=1
		run diff <(losses "$rule") <(losses kaiming)
		[ "$rule" = kaiming ] || assert_failure
	done
	run ./dstrain check recipe.yaml --set model.init=kaming
	assert_failure 2
	assert_output --partial "did you mean 'kaiming'?"
}

@test "what only the data show is said with the place in the run's recipe" {
	printf 'data: {format: text, train: text, context: 4}\nmodel: {layers: [linear]}\ntrain: {batch: 1}\n' >recipe.yaml
	echo 'to be or not to be' >text
	run ./dstrain check recipe.yaml --set model.layers.0.outputs=7
	assert_failure 2
	assert_output "recipe.yaml:2:17: layer '0': 7 outputs are not the same number for each of 4 targets; use model 'gpt' for texts, or begin with 'embedding'"
	run ./dstrain run recipe.yaml --run-dir run --set model.layers.0.outputs=7
	assert_failure 1
	assert_output --regexp "recipe\.yaml:[0-9]+:[0-9]+: layer '0': 7 outputs are not"
	line=$(grep -oE 'recipe\.yaml:[0-9]+' <<<"$output" | cut -d: -f2)
	assert_equal "$(sed -n "${line}s/^ *//p" run/recipe.yaml)" "- name: 0"
}
