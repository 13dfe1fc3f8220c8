#!/usr/bin/env bats
# shellcheck disable=SC2154 # orchestrator comes from `begin`
# dstrain ckpt: what checkpoints there are, and whether every byte of them is what was written.

bats_require_minimum_version 1.5.0

load dstrain

# Three checkpoints, of steps 20, 40 and 60.
setup_run() {
	train --quiet --set checkpoint.keep=3 --set train.steps=60 >/dev/null
}

damage() { # FILE: one byte in its middle
	printf x | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
}

json() { # PYTHON: over the answer c, of `ckpt` as run before
	python3 -c 'import json, sys; c = json.loads(sys.argv[1]); assert '"$1"', c' "$output"
}

@test "list shows step, date, size, ranks and whether it is whole" {
	setup_run
	run ./dstrain ckpt list run
	assert_success
	assert_line --index 0 --regexp '^step  written +size  ranks  valid$'
	assert_line --index 1 --regexp "^  20  $(date +%Y)-[0-9-]+ [0-9:]+  [0-9.]+ KiB      2  yes$"
	assert_line --index 3 --regexp '^  60 .* yes$'
	run --separate-stderr ./dstrain ckpt list run --json
	json '[x["step"] for x in c["checkpoints"]] == [20, 40, 60] and all(x["valid"] for x in c["checkpoints"])'
	json 'c["newest_valid"] == "run/checkpoints/step-60" and c["checkpoints"][0]["world"] == 2'
	json 'c["checkpoints"][0]["written"].endswith("Z")'
	assert [ "$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["checkpoints"][0]["bytes"])' "$output")" \
		-eq "$(cat run/checkpoints/step-20/*.safetensors | wc -c)" ]
}

@test "verify finds whole checkpoints whole" {
	setup_run
	run ./dstrain ckpt verify run/
	assert_success
	assert_line --regexp '^ok +step-20: 2 files, '
	assert_line --regexp '^ok +step-60: 2 files, '
	run ./dstrain ckpt verify run/checkpoints/step-40
	assert_success
	assert_line --regexp '^ok +step-40: '
	refute_output --partial step-60
	run ./dstrain ckpt verify run --quiet
	assert_success
	assert_output ''
}

@test "verify names every damaged file with the reason, and what resume takes, as resume does" {
	setup_run
	damage run/checkpoints/step-60/model.safetensors
	truncate -s -1 run/checkpoints/step-60/optimizer.safetensors
	run ./dstrain ckpt verify run
	assert_failure 1
	assert_line --regexp "^problem step-60: the checksum of 'model.safetensors' is wrong$"
	assert_line --regexp "^problem step-60: 'optimizer.safetensors' has [0-9]+ bytes instead of [0-9]+$"
	assert_line --regexp "1 checkpoint is not valid; .*: run/checkpoints/step-40$"
	run --separate-stderr ./dstrain ckpt verify run --json
	assert_failure 1
	json 'c["newest_valid"] == "run/checkpoints/step-40" and len(c["checkpoints"][2]["problems"]) == 2'
	run ./dstrain resume run --dry-run --set train.steps=80
	assert_output --partial "resuming from step 40"
	run ./dstrain ckpt verify run/checkpoints/step-60
	assert_failure 1
}

@test "list sees what sizes tell; what only a digest tells it leaves to verify" {
	setup_run
	damage run/checkpoints/step-40/model.safetensors
	truncate -s 100 run/checkpoints/step-60/model.safetensors
	run ./dstrain ckpt list run
	assert_success
	assert_line --regexp '^  40 .* yes$'
	assert_line --regexp "^  60 .* no: 'model.safetensors' has 100 bytes instead of "
}

@test "missing files, missing and foreign manifests, and another step's are told apart" {
	setup_run
	rm run/checkpoints/step-20/optimizer.safetensors
	rm run/checkpoints/step-40/manifest.json
	mv run/checkpoints/step-60 run/checkpoints/step-70
	run ./dstrain ckpt verify run
	assert_failure 1
	assert_line --regexp "^problem step-20: cannot open '.*optimizer.safetensors'"
	assert_line --regexp "^problem step-40: cannot open '.*manifest.json'"
	assert_line "problem step-70: it is of step 60"
	assert_line --partial "no valid checkpoint in 'run'"
	echo '{}' >run/checkpoints/step-40/manifest.json
	run ./dstrain ckpt verify run
	assert_line "problem step-40: manifest.json is not a checkpoint's"
}

@test "what was begun and left is named, and is no failure" {
	setup_run
	cp -r run/checkpoints/step-60 run/checkpoints/.step-80.tmp
	run ./dstrain ckpt verify run
	assert_success
	assert_line --regexp '^warning .step-80.tmp: unfinished: '
	assert_line --partial 'takes the newest: run/checkpoints/step-60'
}

@test "verifying beside a run that goes on finds nothing wrong" {
	begin 40 --set train.steps=1000000 --set train.eval_every=0 --set checkpoint.every=3
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		run ./dstrain ckpt verify run
		assert_success
	done
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
}

@test "what is no run and no checkpoint is said" {
	run ./dstrain ckpt list nowhere
	assert_failure 2
	assert_output "dstrain: error: no run 'nowhere': neither a run directory nor a name; see \`dstrain ps\`"
	mkdir empty
	run ./dstrain ckpt verify empty
	assert_failure 1
	assert_output "dstrain: error: there is no checkpoint in 'empty/checkpoints'"
	run ./dstrain ckpt prune run
	assert_failure 2
	assert_output --partial "'prune' is neither list nor verify"
}
