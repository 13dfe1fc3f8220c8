#!/usr/bin/env bats
# bats file_tags=long
# dstrain resume: a run that was stopped anywhere, in any way, ends as one that never was.
# shellcheck disable=SC2030,SC2031 # every test is a shell of its own

load dstrain

# Steps of a few milliseconds, so that few are done until a signal comes.
slowly() {
	cat >recipe.yaml <<-'END'
		name: slow
		hosts: local:2
		data: {format: synthetic, samples: 3200, features: 64, classes: 10, noise: 2}
		model: {preset: mlp, hidden: [512, 256]}
		train: {batch: 128, optimizer: {name: sgd, lr: 0.05, momentum: 0.9}}
		checkpoint: {every: 30, keep: 2}
	END
}

# Start without an end, end it by a command once so many steps are done, and give its exit status.
interrupted() { # STEPS STATUS COMMAND...
	local steps=$1 wanted=$2 status=0

	shift 2
	begin "$steps" --set train.steps=1000000 "${flags[@]}"
	"$@"
	wait "$orchestrator" || status=$?
	assert_equal "$status" "$wanted"
	wait_for 8 nothing_runs
}

# It goes on to an end, and another comes to the same end without an interruption.
assert_ends_as_one_that_never_was() {
	local end

	end=$(($(steps_of run) + 60))
	./dstrain resume run --set train.steps=$end >out 2>&1
	train --quiet --run-dir whole "${flags[@]}" --set train.steps=$end
	assert_same_training whole run
}

# No two runs of ranks that go at their own pace are the same.
assert_as_good() { # DIR
	tail -n 1 "$1/metrics.jsonl" | python3 -c 'import json, sys
end = json.loads(sys.stdin.read())
assert end["step"] == 40 and end["accuracy"] > 0.5, end'
}

assert_goes_on_bit_for_bit() { # FLAGS
	flags=("$@")
	rm -rf whole run
	interrupted 20 130 signal INT
	assert_ends_as_one_that_never_was
}

signal() { # NAME
	kill -"$1" "$orchestrator"
}

flip_byte() { # FILE OFFSET
	python3 -c 'import sys
with open(sys.argv[1], "r+b") as file:
	file.seek(int(sys.argv[2]))
	byte = file.read(1)[0]
	file.seek(int(sys.argv[2]))
	file.write(bytes([byte ^ 255]))' "$@"
}

kill_a_worker() {
	kill -9 "$(workers | tail -n 1)"
}

@test "stopped by Ctrl-C or SIGTERM, at several steps: the same in the end" {
	slowly
	interrupted 2 130 signal INT
	assert_equal "$(cat out)" ""
	run cat said
	assert_output --regexp 'stopped after step [0-9]+; go on with: dstrain resume run'
	interrupted_again 143 TERM
	interrupted_again 130 INT
	assert_ends_as_one_that_never_was
}

# As interrupted, of a resumed run.
interrupted_again() { # STATUS SIGNAL
	local status=0 steps

	steps=$(($(steps_of run) + 50))
	./dstrain resume run >out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 has_steps run "$steps"
	signal "$2"
	wait "$orchestrator" || status=$?
	assert_equal "$status" "$1"
	run cat said
	assert_output --partial "resuming from step"
}

@test "killed without a chance to save: the same in the end" {
	slowly
	interrupted 75 137 signal KILL
	assert_ends_as_one_that_never_was
	run cat out
	[[ $output =~ "resuming from step "([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 60 ] && [ $((BASH_REMATCH[1] % 30)) = 0 ]
}

@test "a worker was killed: the same in the end" {
	slowly
	interrupted 75 3 kill_a_worker
	run cat said
	assert_output --regexp "the checkpoint of step [0-9]+0 is kept; go on with: dstrain resume run"
	assert_ends_as_one_that_never_was
}

# What a strategy does may depend on how many steps there will be: both runs are asked for as many.
@test "every sync strategy goes on, bit for bit where ranks wait for each other" {
	local strategy

	slowly
	for strategy in $(registry sync); do
		rm -rf whole run
		train --quiet --set train.steps=40 --set checkpoint.every=23 --set sync.strategy="$strategy"
		cp -r run whole
		rm -r run/checkpoints/step-40
		if is_paced whole; then # these may have passed the step to save at
			[ -z "$(newest run)" ] || ./dstrain resume run >out 2>&1
			assert_as_good run
		else
			./dstrain resume run >out 2>&1
			grep -q "resuming from step 23" out
			assert_same_training whole run
		fi
	done
}

# What a scheme does may depend on how many steps there will be: both runs are asked for as many.
@test "every optimizer and compression scheme goes on bit for bit" {
	local choice flags=(--quiet --set train.steps=40 --set checkpoint.every=23 --set 'model.hidden=[64]')

	slowly
	sed -i 's/optimizer: {name: sgd, lr: 0.05, momentum: 0.9}/optimizer: {name: sgd, lr: 0.001}/' recipe.yaml
	for choice in $(registry optim | sed 's/^/train.optimizer.name=/') \
		$(registry compress | sed 's/^/compress.scheme=/'); do
		rm -rf whole run
		train "${flags[@]}" --set "$choice"
		cp -r run whole
		rm -r run/checkpoints/step-40
		./dstrain resume run >out 2>&1
		grep -q "resuming from step 23" out
		assert_same_training whole run
	done
}

@test "dropout, schedule and shards by label go on bit for bit" {
	slowly
	# The wave needs an end that is known from the beginning: far enough to be met before it.
	flags=(--set model.dropout=0.2 --set data.shard=by_label --set train.clip=1
		--set train.schedule.name=cosine --set train.schedule.warmup=10
		--set train.steps=600 --hosts local:3)
	train --quiet --run-dir whole "${flags[@]}"
	interrupted 20 130 signal INT
	./dstrain resume run --quiet
	assert_same_training whole run
}

@test "every transport goes on bit for bit" {
	slowly
	for transport in $(registry transport); do
		assert_goes_on_bit_for_bit --set transport.name="$transport"
	done
}

@test "a damaged checkpoint is skipped with the reason, the one before is used" {
	train --quiet --run-dir whole
	train --quiet
	flip_byte run/checkpoints/step-62/model.safetensors 700
	run ./dstrain resume run
	assert_success
	assert_output --partial "skipping checkpoint step-62: the checksum of 'model.safetensors' is wrong"
	assert_output --partial "resuming from step 60"
	assert_same_training whole run
}

@test "another number of ranks is allowed and said" {
	train --quiet --set train.steps=40
	run ./dstrain resume run --hosts local:3 --set train.steps=80
	assert_success
	assert_output --partial "3 ranks instead of 2"
	assert_output --partial "resuming from step 40"
	has_steps run 80
	run ./dstrain resume run --set train.steps=90
	assert_success
	assert_output --partial "3 ranks on 1 host"
}

# The debts of ranks in a checkpoint, added up: a digest of the numbers.
debts_at() { # STEP
	python3 - "run/checkpoints/step-$1" <<-'END'
	import glob, hashlib, json, struct, sys
	total = None
	for path in sorted(glob.glob(f"{sys.argv[1]}/rank-*.safetensors")):
	    data = open(path, "rb").read()
	    size = struct.unpack("<Q", data[:8])[0]
	    first, last = json.loads(data[8:8 + size])["residual"]["data_offsets"]
	    debt = struct.unpack(f"<{(last - first) // 4}f", data[8 + size + first:8 + size + last])
	    total = debt if total is None else [struct.unpack("<f", struct.pack("<f", a + b))[0] for a, b in zip(total, debt)]
	assert any(total)
	print(hashlib.sha256(struct.pack(f"<{len(total)}f", *total)).hexdigest())
	END
}

@test "what compression owes is taken over by the ranks that are left" {
	train --quiet --set compress.scheme=topk --set train.steps=40
	run ./dstrain resume run --hosts local:1 --set train.steps=41
	assert_success
	assert_output --partial "compression owes"
	# One rank sends nothing.
	assert_equal "$(debts_at 41)" "$(debts_at 40)"
}

@test "ranks that differ go on from their mean with another number of ranks" {
	train --quiet --set sync.strategy=local_sgd --set train.steps=40
	run ./dstrain resume run --hosts local:1 --set train.steps=80
	assert_success
	has_steps run 80
	python3 -c '
import json
steps = [l for l in map(json.loads, open("run/metrics.jsonl")) if l["kind"] == "step"]
assert steps[40]["loss"] < steps[0]["loss"] / 2, (steps[0], steps[40])'
}

@test "more epochs extend a finished run" {
	train --quiet --run-dir whole --set train.epochs=4
	train --quiet
	run ./dstrain resume run --set train.epochs=4
	assert_success
	assert_output --partial "resuming from step 62"
	assert_same_training whole run
	run grep epochs: run/recipe.yaml
	assert_output --partial 4
}

@test "a finished run is left as it is" {
	train --quiet
	before=$(find run -type f ! -name lock | sort | xargs sha256sum)
	run ./dstrain resume run
	assert_success
	assert_output --regexp "already complete: 62 steps"
	assert_output --partial "--set train.epochs="
	assert_equal "$(find run -type f ! -name lock | sort | xargs sha256sum)" "$before"
	run bash -c './dstrain resume run --json 2>/dev/null'
	assert_success
	python3 -c 'import json, sys
r = json.loads(sys.argv[1]); assert r["result"] == "done" and r["step"] == r["steps"] == 62' "$output"
	run ./dstrain resume run --set train.epochs=1
	assert_success
	assert_output --partial "already complete"
}

@test "what is no run directory, or has no checkpoint, cannot be resumed" {
	run ./dstrain resume nowhere
	assert_failure 2
	assert_output --partial "no run 'nowhere'"
	train --quiet
	rm -r run/checkpoints/step-*
	run ./dstrain resume run
	assert_failure 1
	assert_output --partial "no valid checkpoint in 'run/checkpoints'"
	[ -s run/metrics.jsonl ]
}

@test "a run that left no checkpoint is started anew as run and resume say" {
	train --quiet
	rm -r run/checkpoints/step-*
	run train
	assert_failure 1
	assert_output "dstrain: error: 'run' is of a run that left no checkpoint to go on from; choose another directory, or remove it"
	run ./dstrain resume run
	assert_failure 1
	assert_output "dstrain: error: no valid checkpoint in 'run/checkpoints'; to start anew: dstrain run run/recipe.yaml --run-dir ANOTHER"
	./dstrain run run/recipe.yaml --run-dir ANOTHER --quiet
	diff <(losses run) <(losses ANOTHER)
	rm -r run
	train --quiet
	run train
	assert_output "dstrain: error: 'run' is not empty; to go on with it: dstrain resume run"
}

@test "stopped before the first step, there is nothing to resume, and that is said" {
	slowly
	./dstrain run recipe.yaml --run-dir run --set train.steps=1000000 >out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 test -e run/logs/rank-0.log
	signal INT
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 130
	run cat said
	[ -n "$(newest run)" ] || refute_output --partial "dstrain resume"
}

@test "one dstrain at a time" {
	slowly
	begin 1 --set train.steps=100000
	run ./dstrain resume run
	assert_failure
	assert_output --partial "'run' is in use by another dstrain"
	signal INT
	wait "$orchestrator" || true
	./dstrain resume run --set train.steps=1 --quiet
}

@test "a resume that fails to start changes nothing" {
	train --quiet
	before=$(find run -type f ! -name lock | sort | xargs sha256sum)
	run ./dstrain resume run --set train.optimizer.name=adm
	assert_failure 2
	assert_output --partial "adm"
	run ./dstrain resume run --hosts nowhere.yaml
	assert_failure 2
	run ./dstrain resume run --dry-run --set train.epochs=9
	assert_success
	assert_equal "$(find run -type f ! -name lock | sort | xargs sha256sum)" "$before"
}

@test "an optimizer or model that the checkpoint is not of is an error" {
	train --quiet --set train.steps=20
	run ./dstrain resume run --set train.steps=30 --set train.optimizer.momentum=0 --set train.optimizer.name=adam
	assert_failure
	run ./dstrain resume run --set train.steps=30 --set 'model.hidden=[33]'
	assert_failure 1
	assert_output --partial "was the recipe changed?"
	run ./dstrain resume run --set train.steps=30
	assert_success
}
