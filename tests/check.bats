#!/usr/bin/env bats
# dstrain check: every mistake in a recipe has its place and plain words, all in one go.

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	root=$BATS_TEST_DIRNAME/..
	DSTRAIN=$(realpath "${DSTRAIN:-$root/dstrain}")
	cd "$BATS_TEST_TMPDIR" || return
}

# A recipe r.yaml with what is on standard input behind a valid beginning of two lines.
recipe() {
	{
		printf 'data: synthetic\nmodel: softmax\n'
		cat
	} >r.yaml
}

# The recipe is refused with exactly these lines on standard error, and nothing on the other.
refused() {
	local -a expected=("$@")

	run --separate-stderr "$DSTRAIN" check r.yaml
	assert_equal "$status" 2
	assert_equal "$output" ""
	# shellcheck disable=SC2154 # set by run
	assert_equal "$stderr" "$(printf '%s\n' "${expected[@]}")"
}

# What a Python expression makes of the JSON on standard input, as `it`.
json() {
	python3 -c 'import json, sys
it = json.load(sys.stdin)
got = eval(sys.argv[1])
print(*got) if isinstance(got, list) else print(got)' "$1"
}

@test "of a good recipe, the layers of its model and what it costs" {
	recipe <<<$'hosts: local:3\ntrain: {optimizer: adam, batch: 32}'
	run --separate-stderr "$DSTRAIN" check r.yaml
	assert_success
	assert_output "layer  kind                        output  parameters  FLOPs  memory
fc1    linear                      [10]           210    400    40 B
all    loss softmax_cross_entropy                 210    400    40 B
a step of 32 samples: 25.6 kFLOP
memory of a rank with 11 samples: 4.2 KiB (weights 840 B, gradient 840 B, adam 1.6 KiB, between layers 896 B), and 820.3 KiB of samples on each host
r.yaml: ok"
	assert_equal "$stderr" ""
}

@test "--quiet says nothing about a good recipe" {
	recipe <<<''
	run "$DSTRAIN" check -q r.yaml
	assert_success
	assert_output ""
}

@test "every recipe that comes with dstrain is good" {
	cd "$root"
	for file in recipes/*.yaml; do
		run "$DSTRAIN" check "$file"
		assert_line --index -1 "$file: ok"
	done
}

@test "every sync strategy has a recipe of its name" {
	for name in $("$DSTRAIN" list sync --json | json '[e["name"] for e in it["sync"]]'); do
		run "$DSTRAIN" check --json "$root/recipes/${name//_/-}.yaml"
		assert_success
		assert_equal "$(json 'it["recipe"]["sync"]["strategy"]' <<<"$output")" "$name"
	done
}

@test "an empty recipe" {
	: >r.yaml
	refused "r.yaml: is empty"
	printf '# later\n' >r.yaml
	refused "r.yaml: is empty"
}

@test "a binary recipe" {
	head -c 4096 "$DSTRAIN" >r.yaml
	refused "r.yaml:1:1: is not text in UTF-8"
}

@test "a missing recipe" {
	rm -f r.yaml
	refused "dstrain: error: cannot open 'r.yaml': No such file or directory"
}

@test "a directory instead of a recipe" {
	mkdir r.yaml
	refused "dstrain: error: cannot read 'r.yaml': Is a directory"
}

@test "a recipe of more than a megabyte" {
	yes '# long' | head -c 1100000 >r.yaml
	refused "dstrain: error: 'r.yaml' is larger than 1048576 bytes"
}

@test "tabs that indent" {
	recipe <<<$'train:\n\tepochs: 1'
	refused "r.yaml:4:1: tabs may not indent; use spaces"
}

@test "a list instead of keys" {
	printf -- '- name: x\n' >r.yaml
	refused "r.yaml:1:1: must be 'key: value' lines, not a list"
}

@test "a quote without end" {
	recipe <<<"name: 'x"
	refused "r.yaml:4:1: the quoted text has no end"
}

@test "a duplicate key" {
	recipe <<<$'train: {epochs: 1}\nseed: 1\ntrain: {epochs: 2}'
	refused "r.yaml:5:1: duplicate key 'train'; first in line 3"
}

@test "a key without value" {
	recipe <<<$'seed:'
	refused "r.yaml:3:6: 'seed' needs a value"
}

@test "an unknown key, with the nearest one" {
	recipe <<<$'sycn: {strategy: bsp}'
	refused "r.yaml:3:1: unknown key 'sycn'; did you mean 'sync'?"
	recipe <<<$'train:\n  optimizer: {name: sgd, momentun: 0.9}'
	refused "r.yaml:4:26: unknown key 'train.optimizer.momentun'; did you mean 'momentum'?"
}

@test "an unknown key like no other" {
	recipe <<<$'quantum: 1'
	refused "r.yaml:3:1: unknown key 'quantum'"
}

@test "an option of another implementation" {
	recipe <<<$'sync: {strategy: bsp, period: 4}'
	refused "r.yaml:3:23: unknown key 'sync.period'"
}

@test "a huge number" {
	recipe <<<$'train: {epochs: 99999999999999999999}'
	refused "r.yaml:3:17: train.epochs: '99999999999999999999' is too large"
	recipe <<<$'train: {batch: 1000000000000}'
	refused "r.yaml:3:16: train.batch: '1000000000000' is out of range: 1 to 10000000"
}

@test "a learning rate that is not a number" {
	recipe <<<$'train: {optimizer: {lr: .nan}}'
	refused "r.yaml:3:25: train.optimizer.lr: '.nan' is not a finite number"
	recipe <<<$'train: {optimizer: {lr: nan}}'
	refused "r.yaml:3:25: train.optimizer.lr: 'nan' is not a finite number"
	recipe <<<$'train: {optimizer: {lr: 1e999}}'
	refused "r.yaml:3:25: train.optimizer.lr: '1e999' is not a finite number"
}

@test "values out of range" {
	recipe <<<$'train: {batch: 0, optimizer: {momentum: 1.5}}'
	refused "r.yaml:3:16: train.batch: '0' is out of range: 1 to 10000000" \
		"r.yaml:3:41: train.optimizer.momentum: '1.5' is out of range: 0 to 0.9999"
}

@test "wrong types" {
	recipe <<<$'train: {epochs: many, batch: -1, steps: 1.5}\ntransport: {encrypt: maybe}'
	refused "r.yaml:3:17: train.epochs: 'many' is not a whole number" \
		"r.yaml:3:30: train.batch: '-1' is not a whole number" \
		"r.yaml:3:41: train.steps: '1.5' is not a whole number" \
		"r.yaml:4:22: transport.encrypt: 'maybe' is neither yes nor no"
}

@test "a list or keys where one value belongs, and the other way round" {
	recipe <<<$'seed: [1, 2]\nname: {a: b}\ncheckpoint: 5\ntrain: [1]'
	run --separate-stderr "$DSTRAIN" check r.yaml
	assert_equal "$status" 2
	# shellcheck disable=SC2154 # set by run
	assert_equal "${stderr_lines[0]}" "r.yaml:3:7: seed: needs one value, not a list"
	assert_equal "${stderr_lines[1]}" "r.yaml:4:7: name: needs a value, not keys below it"
	assert_equal "${stderr_lines[-2]}" \
		"r.yaml:5:13: 'checkpoint' needs keys below it, not a value"
	assert_equal "${stderr_lines[-1]}" "r.yaml:6:8: 'train' needs keys below it, not a list"
}

@test "unknown names" {
	recipe <<<$'sync: {strategy: bps}\ncompress: zip\ntrain: {schedule: {name: cosin}}'
	refused "r.yaml:3:18: no sync strategy 'bps'; did you mean 'bsp'?" \
		"r.yaml:4:11: no compression scheme 'zip'; see \`dstrain list compress\`" \
		"r.yaml:5:26: no schedule 'cosin'; did you mean 'cosine'?"
}

@test "every category refuses an unknown name" {
	for key in data.format model.preset sync.strategy compress.scheme transport.name \
		train.optimizer.name train.schedule.name; do
		recipe <<<''
		run "$DSTRAIN" check r.yaml --set "$key=nonsense"
		assert_failure 2
		assert_output --partial "'nonsense'; see \`dstrain list "
	done
}

@test "missing keys" {
	printf 'name: x\n' >r.yaml
	run "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "missing key 'data.format'"
	assert_output --partial "missing key 'model.preset'"
}

@test "missing data files, with their places" {
	cat >r.yaml <<-END
	data:
	  format: idx
	  train: {images: no-images.gz, labels: /nowhere/labels}
	model: softmax
	END
	refused "r.yaml:3:19: data.train.images: cannot open 'no-images.gz': No such file or directory" \
		"r.yaml:3:41: data.train.labels: cannot open '/nowhere/labels': No such file or directory"
}

@test "a directory as data file" {
	printf 'data: {format: csv, train: .}\nmodel: softmax\n' >r.yaml
	refused "r.yaml:1:28: data.train: '.' is not a regular file"
}

@test "data that cannot be read, and more samples in a batch than there are" {
	printf '1,2\n3\n' >data.csv
	printf 'data: {format: csv, train: data.csv}\nmodel: softmax\n' >r.yaml
	refused "r.yaml:1:16: $PWD/data.csv:2: 1 fields, but the first record has 2"
	recipe <<<$'train: {batch: 10001}'
	refused "r.yaml:3:16: train.batch: 10001 is more than the 10000 training samples"
}

@test "labels that count from 1 are one class too many, and that is said" {
	printf '0,1\n1,2\n0,3\n1,4\n' >data.csv
	printf 'data: {format: csv, train: data.csv}\nmodel: softmax\ntrain: {batch: 2}\n' >r.yaml
	run --separate-stderr "$DSTRAIN" check r.yaml
	assert_success
	assert_equal "$stderr" "dstrain: warning: no training sample has label 0, but labels count from 0: there are 5 classes"
	for rows in $'0,0\n1,1' $'0,cat\n1,dog'; do
		echo "$rows" >data.csv
		run --separate-stderr "$DSTRAIN" check r.yaml
		assert_success
		assert_equal "$stderr" ""
	done
}

@test "several problems of all kinds come in one go, in the order of the lines" {
	cat >r.yaml <<-'END'
	name: a/b
	sycn: bsp
	data: {format: synthtic}
	train: {epochs: 0, optimizer: {lr: nan}}
	name: c
	model: {preset: mlp, hidden: [8, x]}
	seed:
	transport: {port: 99-1}
	END
	refused "r.yaml:1:7: name: 'a/b' cannot be the name of a directory" \
		"r.yaml:2:1: unknown key 'sycn'; did you mean 'sync'?" \
		"r.yaml:3:16: no data format 'synthtic'; did you mean 'synthetic'?" \
		"r.yaml:4:17: train.epochs: '0' is out of range: 1 to 1000000" \
		"r.yaml:4:36: train.optimizer.lr: 'nan' is not a finite number" \
		"r.yaml:5:1: duplicate key 'name'; first in line 1" \
		"r.yaml:6:30: model.hidden: 'x' is not a whole number" \
		"r.yaml:7:6: 'seed' needs a value" \
		"r.yaml:8:19: transport.port: '99-1' is neither a port nor a range such as 40000-40100"
}

@test "--set changes a value, and its problems name it" {
	recipe <<<$'train: {epochs: 3}'
	run "$DSTRAIN" check r.yaml --set train.epochs=7 --print
	assert_success
	assert_line "  epochs: 7"
	run --separate-stderr "$DSTRAIN" check r.yaml --set train.epochs=x --set train.x=1 --set foo \
		--set a..b=1
	assert_equal "$status" 2
	assert_equal "$stderr" "--set: 'foo' is not of the form KEY=VALUE
--set: 'a..b' is not a key such as train.epochs
--set: train.epochs: 'x' is not a whole number
--set: unknown key 'train.x'"
}

@test "--set replaces a value by keys" {
	printf 'data: {format: synthetic, shard: iid}\nmodel: softmax\n' >r.yaml
	run "$DSTRAIN" check r.yaml --set data.shard.dirichlet=0.5 --print
	assert_success
	assert_line "    dirichlet: 0.5"
}

@test "--set adds an option to a part that was only named" {
	recipe <<<$'sync: local_sgd'
	run "$DSTRAIN" check r.yaml --set sync.period=4 --set data.features=5 --print
	assert_success
	assert_line "  strategy: local_sgd"
	assert_line "  period: 4"
	assert_line "  features: 5"
}

@test "a fault has ranks that exist, and a kind" {
	recipe <<<$'hosts: local:4\nfault: {rank: 3, kind: sign_flip}'
	run "$DSTRAIN" check r.yaml --print
	assert_success
	assert_line "  rank: 3"
	recipe <<<$'hosts: local:4\nfault: {straggle: {probability: 0.1, factor: 10, permanent: [0, 4]}}'
	run "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "fault.straggle.permanent: there is no rank 4; 4 ranks count from 0 on"
	recipe <<<$'fault: {rank: [0]}'
	run "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "r.yaml:3:15: fault.rank: fault.kind has to say what is wrong with the gradients"
	recipe <<<$'fault: nan'
	run "$DSTRAIN" check r.yaml
	assert_failure 2
}

@test "a batch may say how it is shared" {
	recipe <<<$'train: {batch: {global: 96, share: measured}}'
	run "$DSTRAIN" check r.yaml --print
	assert_success
	assert_line "  batch: 96"
	assert_line "  share: measured"
	run "$DSTRAIN" check r.yaml --set train.batch=64 --print
	assert_line "  batch: 64"
	assert_line "  share: measured"
	recipe <<<$'train: {batch: {size: 96, share: fair}}'
	run "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "r.yaml:3:34: train.share: unknown value 'fair'; one of equal, measured"
	assert_output --partial "unknown key 'train.batch.size'"
}

@test "--print shows every default, and is itself a recipe that prints the same" {
	for file in "$root"/recipes/*.yaml; do
		"$DSTRAIN" check --print "$file" >first.yaml
		"$DSTRAIN" check --print first.yaml >second.yaml
		run diff first.yaml second.yaml
		assert_success
	done
	assert grep -q '^  eval_every: 1$' first.yaml
}

@test "--json has every option that list offers for the named parts" {
	recipe <<<$'sync: local_sgd\ntrain: {optimizer: adamw, schedule: step}'
	"$DSTRAIN" check r.yaml --json >recipe.json
	"$DSTRAIN" list --json >list.json
	run python3 - <<-'END'
	import json
	recipe, parts = json.load(open("recipe.json"))["recipe"], json.load(open("list.json"))
	named = {"sync": (recipe["sync"], "local_sgd"),
	    "optim": (recipe["train"]["optimizer"], "adamw"),
	    "schedule": (recipe["train"]["schedule"], "step")}
	options = [(category, option["key"]) for category in named for entry in parts[category]
	    if entry["name"] == named[category][1] for option in entry["options"]]
	assert len(options) > 5, options
	print([o for o in options if o[1] not in named[o[0]][0]])
	END
	assert_success
	assert_output "[]"
}

@test "--json gives the recipe, or the problems" {
	recipe <<<$'model: {preset: mlp, hidden: [8, 4]}'
	run --separate-stderr "$DSTRAIN" check r.yaml --json
	assert_equal "$(json 'it["valid"]' <<<"$output")" False
	assert_equal "$(json 'it["problems"][0]' <<<"$output")" \
		"r.yaml:3:1: duplicate key 'model'; first in line 2"
	printf 'data: synthetic\nmodel: {preset: mlp, hidden: [8, 4]}\n' >r.yaml
	run --separate-stderr "$DSTRAIN" check r.yaml --json
	assert_success
	assert_equal "$(json 'it["valid"], it["recipe"]["model"]["hidden"]' <<<"$output")" \
		'(True, [8, 4])'
	assert_equal "$(json 'it["recipe"]["train"]["optimizer"]["lr"]' <<<"$output")" 0.1
}

@test "a name that cannot be a directory's" {
	for name in a/b .. .hidden '' '"\t"' "$(printf 'x%.0s' {1..201})"; do
		recipe <<<"name: ${name:-\"\"}"
		run "$DSTRAIN" check r.yaml
		assert_equal "$status" 2
		assert_line --regexp "^r.yaml:[0-9]+:7: name: .*cannot be the name of a directory"
	done
	recipe <<<'name: größe 2'
	run "$DSTRAIN" check r.yaml
	refute_output --partial "name:"
}

@test "hosts are checked, too" {
	recipe <<<$'hosts: missing.yaml'
	refused "r.yaml:3:8: cannot open 'missing.yaml': No such file or directory"
	printf 'hosts:\n  a: {slots: 0}\n  b: {prot: 22}\n' >h.yaml
	run --separate-stderr "$DSTRAIN" check r.yaml --hosts h.yaml
	assert_equal "$status" 2
	assert_equal "${stderr_lines[0]}" "h.yaml:2:14: slots: '0' is out of range: 1 to 4096"
	assert_equal "${stderr_lines[1]}" "h.yaml:3:7: unknown key 'prot'; did you mean 'port'?"
	run "$DSTRAIN" check r.yaml --hosts local:2
	assert_success
}

@test "every hosts file that comes with dstrain is good" {
	for file in "$root"/hosts/*; do
		run "$DSTRAIN" check "$root/recipes/synthetic-mlp.yaml" --hosts "$file"
		assert_success
	done
}

@test "a recipe that refers to itself or explodes is refused quickly" {
	recipe <<<$'name: &a [*a]'
	run timeout 5 "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "nested more than 16 deep"
	{
		echo 'a0: &a0 {x: 1}'
		for i in {1..14}; do echo "a$i: &a$i [*a$((i - 1)), *a$((i - 1)), *a$((i - 1)), *a$((i - 1))]"; done
	} | recipe
	run timeout 10 "$DSTRAIN" check r.yaml
	assert_failure 2
	assert_output --partial "too large: more than 10000 keys"
}
