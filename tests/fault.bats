#!/usr/bin/env bats
# What happens when processes die, hang or are told to stop: it is said, quickly, and nothing stays.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a shell of its own; names of dstrain.bash

load dstrain

# A run without end, some steps beyond its first checkpoint.
begin_endless() { # [FLAGS]
	begin 120 "${endless[@]}" "$@"
}

# The end of it: its exit status, and that it comes: soon, but how soon is up to the machine.
assert_ends() { # STATUS
	local from=$EPOCHREALTIME status=0

	wait "$orchestrator" || status=$?
	echo "ended with $status after $(seconds_since "$from") s"
	cat said
	assert_equal "$status" "$1"
	[ "$(seconds_since "$from")" -lt 20 ]
	assert nothing_runs
}

assert_said() {
	run cat said
	assert_output "$@"
}

worker_of() { # RANK
	workers | sort -n | sed -n "$(($1 + 1))p"
}

has_worker() { # RANK
	[ -n "$(worker_of "$1")" ]
}

@test "a worker that is killed ends the run: who, by what, and how to go on" {
	begin_endless --hosts local:3
	kill -9 "$(worker_of 1)"
	assert_ends 3
	assert_said --regexp "error: rank 1 on 'local' was killed by SIGKILL \(9\), "
	assert_said --partial "MiB"
	assert_said --regexp "the checkpoint of step [0-9]+ is kept; go on with: dstrain resume run"
	[ -e "$(newest run)/manifest.json" ]
}

@test "every rank's death is told from the complaints of the others" {
	for rank in 0 2; do
		rm -rf run
		begin_endless --hosts local:3
		kill -ABRT "$(worker_of $rank)"
		assert_ends 3
		assert_said --partial "error: rank $rank on 'local' was killed by SIGABRT (6)"
	done
}

@test "a worker that is killed ends the run, whatever the strategy" {
	for strategy in $(registry sync); do
		rm -rf run
		echo "strategy $strategy"
		begin 5 "${endless[@]}" --hosts local:3 --set sync.strategy="$strategy"
		kill -9 "$(worker_of 1)"
		assert_ends 3
		assert_said --partial "error: rank 1 on 'local' was killed by SIGKILL"
	done
}

@test "all workers at once" {
	begin_endless --hosts local:3
	# shellcheck disable=SC2046 # a list of numbers
	kill -9 $(workers)
	assert_ends 3
	assert_said --regexp "error: rank [0-2] on 'local' was killed by SIGKILL"
}

@test "a worker that dies before training begins" {
	./dstrain run recipe.yaml --run-dir run --hosts local:3 --set train.steps=1000000 \
		>out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 test -e run/logs/rank-1.log
	wait_for 60 has_worker 1
	kill -9 "$(worker_of 1)"
	assert_ends 3
	assert_said --partial "error: rank 1 on 'local' was killed by SIGKILL"
}

@test "a worker that hangs ends the run, and is ended too" {
	begin_endless --hosts local:3
	kill -STOP "$(worker_of 1)"
	assert_ends 3
	assert_said --partial "error: rank 1 on 'local' did not answer for 3 seconds"
}

@test "without orchestrator no worker lives on" {
	begin_endless --hosts local:4
	kill -9 "$orchestrator"
	wait_for 8 nothing_runs # they need not wait for the silence that ends them after 10 s
}

@test "an orchestrator that was suspended goes on" {
	begin_endless
	kill -STOP "$orchestrator"
	sleep 5
	kill -CONT "$orchestrator"
	seen=$(grep -c step run/metrics.jsonl)
	wait_for 60 has_steps run $((seen + 20))
	kill -INT "$orchestrator"
	assert_ends 130
}

no_worker() {
	[ -z "$(workers)" ]
}

@test "workers whose orchestrator says nothing any more end by themselves" {
	begin_endless
	kill -STOP "$orchestrator"
	wait_for 60 no_worker
	kill -CONT "$orchestrator"
	assert_ends 3
	assert_said --partial "the orchestrator has been silent for 10 seconds; ending"
}

@test "Ctrl-C finishes the step, saves and ends" {
	begin_endless --set checkpoint.every=0
	kill -INT "$orchestrator"
	assert_ends 130
	assert_said --partial "finishing the step and saving a checkpoint"
	steps=$(grep -c '"kind":"step"' run/metrics.jsonl)
	assert_said --partial "stopped after step $steps; go on with: dstrain resume run"
	assert_equal "$(newest run)" "run/checkpoints/step-$steps"
	assert_equal "$(cat out)" ""
}

@test "SIGTERM and SIGHUP do the same" {
	for signal in TERM:143 HUP:129; do
		rm -rf run
		begin_endless --json
		kill -"${signal%:*}" "$orchestrator"
		assert_ends "${signal#*:}"
		assert_said --partial "stopped after step"
		python3 -c 'import json; r = json.load(open("out"))
assert r["result"] == "stopped" and r["exit_status"] == '"${signal#*:}"', r
assert r["checkpoint_step"] == r["step"]'
	done
}

@test "Ctrl-C at a terminal reaches only dstrain itself" {
	python3 - <<-'END'
		import os, pty, signal, time
		signal.alarm(120)
		pid, terminal = pty.fork()
		if pid == 0:
		    os.execv("./dstrain", ["./dstrain", "run", "recipe.yaml", "--run-dir", "run",
		                           "--set", "train.steps=1000000"])
		seen = b""
		while b"step 1" not in seen:
		    seen += os.read(terminal, 4096)
		os.write(terminal, b"\x03")
		try:
		    while True:
		        seen += os.read(terminal, 4096)
		except OSError:
		    pass
		assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, seen
		assert b"stopped after step" in seen, seen
	END
	[ -e "$(newest run)/manifest.json" ]
}

@test "a second Ctrl-C within a second aborts" {
	begin_endless
	kill -STOP "$(worker_of 0)" # so that the step cannot be finished
	kill -INT "$orchestrator"
	wait_for 60 grep -q finishing said
	for _ in 1 2 3 4 5; do # some two of them come within a second, however busy the machine is
		kill -INT "$orchestrator" 2>/dev/null || break
		sleep 0.1
	done
	assert_ends 130
	assert_said --partial "aborted"
}

@test "two Ctrl-C that are apart are only one" {
	begin_endless
	kill -STOP "$(worker_of 0)"
	kill -INT "$orchestrator"
	wait_for 60 grep -q finishing said # from then on the second is counted
	sleep 1.1
	kill -INT "$orchestrator"
	sleep 0.1
	kill -CONT "$(worker_of 0)"
	assert_ends 130
	assert_said --partial "stopped after step"
}

@test "Ctrl-C before training begins ends at once" {
	./dstrain run recipe.yaml --run-dir run --set train.steps=1000000 \
		--set data.samples=300000 --set data.features=200 >out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 test -e run/logs/rank-1.log
	kill -INT "$orchestrator"
	assert_ends 130
	assert_said --partial "aborted"
}

# In a mount namespace of our own, so that no other disk fills up.
@test "a full disk ends the run with the file named, and keeps what was saved" {
	unshare -m true || skip "no such hardware: not allowed to mount"
	cat >recipe.yaml <<-'END'
		name: small
		hosts: local:2
		data: {format: synthetic, samples: 2000, features: 16, classes: 4, noise: 2}
		model: {preset: mlp, hidden: [32]}
		train: {batch: 64}
		checkpoint: {every: 20, keep: 2}
	END
	mkdir run
	export -f begin wait_for has_steps steps_of newest
	unshare -m bash -e <<-'END'
		mount -t tmpfs -o size=16m none run
		begin 40 --set train.steps=1000000
		head -c 16m /dev/zero >run/logs/ballast 2>/dev/null || true
		wait "$orchestrator" || echo $? >status
		rm run/logs/ballast
		[ -z "$(find run -name '*.tmp')" ]
		echo $(($(basename "$(newest run)" | cut -d - -f 2) + 500)) >steps
		./dstrain resume run --set train.steps=$(cat steps) --quiet
		cp -r run after
	END
	train --quiet --run-dir whole --set train.steps="$(cat steps)"
	assert_equal "$(cat status)" 1
	assert_said --regexp "error: (checkpoint of step [0-9]+: )?cannot write 'run/[^']+': No space left on device"
	case $output in # the manifest is a few bytes; what else a checkpoint has is counted
	*"error: cannot write 'run/checkpoints/"*) assert_output --regexp "; the checkpoint needs [1-9][0-9]{3} bytes more, and [0-9]+ are free; make room" ;;
	esac
	refute_output --regexp 'rank [01] on'
	assert_said --regexp "the checkpoint of step [0-9]+ is kept"
	assert_same_training whole after
}

# They do not wait for the silence that would end them after 10 s.
@test "a worker whose orchestrator says nothing, or nonsense, ends" {
	run timeout 9 ./dstrain worker </dev/null
	assert_failure 1
	# shellcheck disable=SC2016 # for the inner shell
	run timeout 9 bash -c 'head -c 100000 /dev/urandom | ./dstrain worker | tail -c 0; exit ${PIPESTATUS[1]}'
	assert_failure 1
	# A frame of a type that is not for workers, and one that is too long.
	run timeout 9 bash -c 'printf "\325DS\n\1\0\0\0\0\0\0\0" | ./dstrain worker 2>&1 >/dev/null'
	assert_output --partial "control message of type 1 is not for a worker"
	run timeout 9 bash -c 'printf "\325DS\n\14\0\0\0\0\0\0\377" | ./dstrain worker 2>&1 >/dev/null'
	assert_output --partial "the control stream is not dstrain's"
}

@test "a worker whose stdout nobody reads ends" {
	mkfifo silence
	exec 9<>silence
	run timeout 9 bash -c 'exec ./dstrain worker <silence >&-'
	assert_failure 1
	run timeout 9 bash -c './dstrain worker <silence | head -c 1 >/dev/null'
	assert_success
}
