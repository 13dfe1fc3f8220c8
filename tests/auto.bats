#!/usr/bin/env bats
# shellcheck disable=SC2016  # single quotes: what stands in them is expanded elsewhere
# From links to a plan, and training by it: two racks of two, with a slow way between them.

load lab

setup_file() {
	printf '%s\n' 'racks: {r1: [h1, h3], r2: [h2, h4]}' >"$BATS_FILE_TMPDIR/racks.yaml"
	lab_up "$BATS_FILE_TMPDIR/racks.yaml"
	# In turn from rack to rack, which is the worst order that a ring can have.
	hosts=$LAB_DIR/$LAB_NAME/hosts.yaml
	{ grep -v '^  h' "$hosts"; grep '^  h' "$hosts" | sort; } >"$BATS_FILE_TMPDIR/sorted.yaml"
	mv "$BATS_FILE_TMPDIR/sorted.yaml" "$hosts"
	# The program travels before the links get slow.
	printf '%s\n' 'data: synthetic' 'model: softmax' 'train: {steps: 1}' >"$BATS_FILE_TMPDIR/first.yaml"
	lab run -- "$DSTRAIN" run "$BATS_FILE_TMPDIR/first.yaml" --hosts "$hosts" --run-dir "$BATS_FILE_TMPDIR/first" -q
	for h in h1 h2 h3 h4; do lab rate $h 100mbit; done
	lab rate r1 20mbit
	lab rate r2 20mbit
	cat >"$BATS_FILE_TMPDIR/links.yaml" <<-'END'
		nic: 100mbit
		uplink: 20mbit
		racks: {r1: [h1, h3], r2: [h2, h4]}
	END
}

# 21,000 parameters: a few hundredths of a second from rack to rack.
train() { # DIR [FLAGS]
	user run recipe.yaml --hosts hosts.yaml --run-dir "$1" --set model.hidden=1000 --set train.steps=12 \
		--set train.eval_every=0 --set checkpoint.every=6 "${@:2}"
}

planned() { # DIR [FLAGS]
	train "$1" --set sync=auto --links "$BATS_FILE_TMPDIR/links.yaml" "${@:2}"
}

# The same network, but for SSH, on this machine alone.
emulated() { # DIR [FLAGS]
	"$DSTRAIN" run recipe.yaml --emulate "$BATS_FILE_TMPDIR/links.yaml" --run-dir "$1" --set sync=auto \
		--set model.hidden=1000 --set train.steps=12 --set train.eval_every=0 "${@:2}"
}

json() { # FILE EXPRESSION: of what is in the file, `it`
	python3 -c 'import json, sys; it = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"
}

steps() { # DIR: their losses
	losses "$1" | grep '"kind":"step"'
}

digests() { # DIR: of its last checkpoint
	(cd "$1/checkpoints/step-12" && sha256sum -- *.safetensors)
}

@test "strategy auto trains by what the plan chose, and says what it expected" {
	planned run --json >result.json 2>said
	cat said
	assert [ "$(json run/links.json 'len(it["hosts"])')" = 4 ]
	assert grep -q "plan: $(json run/plan.json 'it["name"]'), predicted" said
	assert grep -q "plan: " run/logs/orchestrator.log
	assert_equal "$(json run/plan.json 'it["why"] != "" and len(it["candidates"]) > 1')" True
	run grep -E '^  (strategy|order):' run/recipe.yaml
	refute_output --partial auto
	assert_output --partial 'order: planned'
	assert_equal "$(json result.json 'it["plan"]["name"]')" "$(json run/plan.json 'it["name"]')"
	assert_equal "$(json result.json '0 < it["plan"]["predicted_s"] and 0 < it["plan"]["measured_s"]')" True
}

@test "resume goes by the plan of the run directory, to the same bits" {
	emulated whole
	emulated run --set train.steps=6
	rm recipe.yaml
	run "$DSTRAIN" resume run --set train.steps=12
	assert_success
	assert_output --partial "as before"
	diff <(steps whole) <(steps run)
	assert_equal "$(digests whole)" "$(digests run)"
}

@test "resume says what to do where the plan is gone or is for others" {
	emulated run --set train.steps=6
	cp run/plan.json kept
	rm run/plan.json
	run "$DSTRAIN" resume run --set train.steps=12
	assert_failure 1
	assert_output --partial "cannot open 'run/plan.json'"
	assert_output --partial "to plan anew: --set plan.links=probe"
	cp kept run/plan.json
	rm run/links.json
	run "$DSTRAIN" resume run --set train.steps=12
	assert_failure 1
	assert_output --partial "cannot open 'run/links.json'"
	run "$DSTRAIN" resume run --set train.steps=12 --set plan.links="$BATS_FILE_TMPDIR/links.yaml"
	assert_success
	assert [ -s run/links.json ]
}

@test "links of other hosts are of no use" {
	printf '%s\n' 'nic: 100mbit' 'hosts: [alpha, beta]' >other.yaml
	run train run --set sync=auto --links other.yaml
	assert_failure 2
	assert_output --partial "other.yaml: "
	assert_output --partial "h1"
	assert [ ! -e run ]
	run train run --set sync=auto --links missing.yaml
	assert_failure 2
	assert_output --partial "missing.yaml"
}

@test "a dry run plans with links that are known, and says that it would measure others" {
	run planned run --dry-run
	assert_success
	assert_line --regexp '^plan: .*, predicted .* s per step'
	run train run --set sync.order=planned --dry-run
	assert_success
	assert_line --partial "links between 4 hosts: measured first, for about 20 s"
	run train run --dry-run
	refute_line --regexp '^plan|links'
	assert [ ! -e run ]
}

@test "a ring in the plan's order stays in a rack as long as it can" {
	train run --set sync.order=planned --links "$BATS_FILE_TMPDIR/links.yaml"
	assert_equal "$(json run/plan.json 'it["kind"]')" ring
	# Of the two times that it leaves a rack, each is for the other one.
	assert_equal "$(json run/plan.json 'sum((a - b) % 2 for r in it["schedule"][0] for a, b in zip(r, r[1:] + r[:1]))')" 2
	assert [ "$(steps run | wc -l)" = 12 ]
}

@test "on one host there is nothing to plan" {
	run train run --hosts local:2 --set sync=auto
	assert_success
	assert_line --partial "plan: none, as there is one host; sync.strategy is bsp"
	assert grep -q 'strategy: bsp' run/recipe.yaml
	assert [ ! -e run/plan.json ]
	run user resume run --set train.steps=15
	assert_success
	run train other --set sync=auto --set plan.links=none
	assert_success
	assert_line --partial "plan: none, as plan.links is none; sync.strategy is bsp"
}

@test "emulated links need no measuring" {
	run emulated run
	assert_success
	assert_line --partial "plan: $(json run/plan.json 'it["name"]'), predicted"
	assert_equal "$(json run/links.json 'it["hosts"]')" "['h1', 'h3', 'h2', 'h4']"
}

# What is emulated needs no lab: four hosts with so much each.
compressed() { # RATE [FLAGS]
	printf 'nic: %s\nhosts: 4\n' "$1" >even.yaml
	"$DSTRAIN" run recipe.yaml --emulate even.yaml --run-dir run --set compress.scheme=qsgd --set compress.bits=6 \
		--set model.hidden=1000 --set train.steps=2 --set train.eval_every=0 "${@:2}"
}

@test "strategy auto leaves a compressor out where it would lose, and says so" {
	run compressed 1000gbit --set sync=auto
	assert_success
	assert_line --regexp "compressing with qsgd would make a step .* ms longer here .*: not compressed$"
	assert_equal "$(json run/plan.json 'it["compressed"], it["compression"].endswith("not compressed")')" "(False, True)"
	run cat run/recipe.yaml
	assert_line "  scheme: none"
	refute_line --partial "bits:"
}

@test "strategy auto compresses where that wins" {
	run compressed 1mbit --set sync=auto --set plan.consensus_period=1
	assert_success
	assert_line --regexp "compressing with qsgd makes a step .* ms shorter here .* saves .* ms on the wire\)$"
	assert_equal "$(json run/plan.json 'it["compressed"]')" True
	run cat run/recipe.yaml
	assert_line "  scheme: qsgd"
	assert_line "  bits: 6"
	assert_line "  strategy: bsp"
}

@test "a named strategy compresses as it is told, with a warning where that loses" {
	local much=(--set sync.order=planned --set model.hidden=8000) # to encode takes longer than a ring's messages
	run compressed 1000gbit "${much[@]}"
	assert_success
	assert_line --regexp "warning: compressing with qsgd makes a step .* ms longer here .*; compress.scheme: none is faster, and sync.strategy: auto chooses by itself$"
	assert_equal "$(json run/plan.json 'it["compressed"]')" True
	run grep "scheme: qsgd" run/recipe.yaml
	assert_success
	run compressed 1000gbit "${much[@]}" --run-dir other --dry-run
	assert_line --regexp "^warning: compressing with qsgd"
}

@test "links are measured where nobody says what they carry" {
	train run --set sync=auto --set plan.probe_seconds=2s --json >result.json
	assert_equal "$(json run/links.json 'len(it["hosts"])')" 4
	assert_equal "$(json run/links.json 'all(s > 0 for s in it["compute_s"])')" True
	assert_equal "$(json run/plan.json 'it["step_s"] > it["comm_s"]')" True
	assert_equal "$(json result.json '0 < it["plan"]["predicted_s"]')" True
	cp run/plan.json before
	run user resume run --set train.steps=14 --set plan.links=probe --dry-run
	assert_success
	assert_line --partial "measured first"
	run user resume run --set train.steps=14
	assert_success
	assert_line --partial "as before"
	cmp before run/plan.json
}

@test "an interrupt ends the measuring at once, and leaves nothing behind" {
	(exec lab run -- "$DSTRAIN" run recipe.yaml --hosts hosts.yaml --run-dir run --set sync=auto \
		--set plan.probe_seconds=600s >out 2>&1 3>&-) &
	pid=$!
	until_true grep -q 'probe: ' out
	kill -INT $pid
	status=0
	wait $pid || status=$?
	cat out
	assert_equal $status 130
	assert [ ! -e run/plan.json ]
	for h in h1 h2 h3 h4; do until_true no_worker_on $h; done
}

@test "a run that measures links can be seen, and stopped from elsewhere" {
	(exec lab run -- "$DSTRAIN" run recipe.yaml --hosts hosts.yaml --run-dir run --set sync=auto \
		--set plan.probe_seconds=600s >out 2>&1 3>&-) &
	pid=$!
	until_true grep -q 'probe: ' out
	run "$DSTRAIN" status run --json
	assert_success
	assert_line --partial '"state": "probing"'
	run "$DSTRAIN" ps
	assert_line --regexp "^run +probing +- .* $PWD/run\$"
	run "$DSTRAIN" stop run
	assert_success
	assert_output --partial 'aborted after step 0'
	status=0
	wait $pid || status=$?
	cat out
	assert_equal $status 143
	run "$DSTRAIN" status run
	assert_line --regexp '^state +aborted'
	for h in h1 h2 h3 h4; do until_true no_worker_on $h; done
	train run # what never trained is in nobody's way
}
