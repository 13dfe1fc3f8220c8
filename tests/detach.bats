#!/usr/bin/env bats
# A run outlives its terminal, and ends in time when it is told to: --detach, --grace, signals.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a shell of its own; names of dstrain.bash

load dstrain

worker_of() { # RANK
	workers | sort -n | sed -n "$(($1 + 1))p"
}

@test "a detached run says where it is, goes on, and can be stopped by its name" {
	./dstrain run recipe.yaml --detach "${endless[@]}" 3>&- >out 2>said
	assert_equal "$(cat out)" runs/small
	run cat said
	assert_output --partial "watch it: dstrain attach runs/small; stop it: dstrain stop runs/small"
	seen=$(grep -c step runs/small/metrics.jsonl || true)
	wait_for 60 has_steps runs/small $((seen + 30))
	run ./dstrain stop small
	assert_success
	assert_output --regexp '^dstrain: stopped after step [0-9]+; the checkpoint is that of step [0-9]+$'
	nothing_runs
	assert_equal "runs/small/checkpoints/step-$(member small step)" "$(newest runs/small)"
	[ ! -e runs/small/socket ]
	run cat runs/small/logs/orchestrator.log
	assert_output --partial "stopped after step"
}

@test "detached, what the user got wrong is said at once, with its exit status" {
	run ./dstrain run recipe.yaml --detach --set train.batch=none
	assert_failure 2
	assert_output --partial "'none'"
	run ./dstrain run missing.yaml --detach
	assert_failure 2
	run ./dstrain run recipe.yaml --detach --hosts 127.0.0.1:1 --set transport=tcp
	assert_failure
	refute_output --partial "begun"
	run ./dstrain run recipe.yaml --detach --run-dir run --hosts "nobody@127.0.0.1:2"
	assert_failure
	run ./dstrain resume nowhere --detach
	assert_failure 2
}

@test "detached, --json gives the run directory and the result stays in it" {
	./dstrain run recipe.yaml --detach --run-dir run --json 3>&- >out
	assert_equal "$(python3 -c 'import json; print(json.load(open("out"))["run_dir"])')" run
	wait_for 60 is_state run 'done'
	python3 -c 'import json; r = json.load(open("run/result.json"))
assert r["result"] == "done" and r["exit_status"] == 0 and r["step"] == r["steps"], r
assert len(r["evaluations"]) == 2, r'
}

@test "Ctrl-C before training begins ends a run that would have been detached" {
	./dstrain run recipe.yaml --run-dir run --detach "${endless[@]}" --set data.samples=300000 \
		--set data.features=200 >out 2>said 3>&- &
	starter=$!
	wait_for 60 test -e run/logs/rank-1.log
	kill -INT "$starter"
	status=0
	wait "$starter" || status=$?
	assert_equal "$status" 130
	assert_equal "$(cat out)" ""
	run cat said
	assert_output --partial "aborted"
	nothing_runs
}

@test "detached, the output of a command substitution ends when training begins" {
	dir=$(timeout 60 ./dstrain run recipe.yaml --detach "${endless[@]}" 3>&-)
	assert_equal "$dir" runs/small
	wait_for 60 is_state small training
	./dstrain stop small
}

@test "the closing of its terminal does not end a detached run, but one in the foreground" {
	python3 - <<-'END'
		import os, pty, signal, time
		signal.alarm(120)
		for mode in "--detach", "--json":
		    pid, terminal = pty.fork()
		    if pid == 0:
		        os.closerange(3, 100)
		        os.execv("/bin/bash", ["bash", "-c", "./dstrain run recipe.yaml --run-dir run" + mode +
		                 " --set train.steps=1000000 --set train.eval_every=0 " + mode + "; echo status $?; sleep 30"])
		    seen = b""
		    while (b"status 0" if mode == "--detach" else b"training and") not in seen:
		        seen += os.read(terminal, 4096)
		    time.sleep(0.3)
		    os.close(terminal)
		    os.kill(pid, signal.SIGHUP)
		    os.waitpid(pid, 0)
	END
	wait_for 60 is_state run--json stopped
	assert_equal "$(member run--json exit_status)" 129
	seen=$(grep -c step run--detach/metrics.jsonl || true)
	wait_for 60 has_steps run--detach $((seen + 20))
	./dstrain stop run--detach
	assert_equal "$(member run--detach exit_status)" 143
}

@test "stopped by stop and resumed detached, a run is the same bit for bit" {
	detached run
	./dstrain stop run
	is_state run stopped
	steps=$(($(member run step) + 1000))
	./dstrain resume run --detach --set train.steps=$steps 3>&- >/dev/null
	wait_for 60 is_state run 'done'
	train --quiet --run-dir whole "${endless[@]}" --set train.steps=$steps
	assert_same_training whole run
}

@test "SIGUSR1 and SIGTERM save a checkpoint and end, however often they come" {
	for signal in USR1:138 TERM:143; do
		rm -rf run
		begin 20 "${endless[@]}"
		kill -"${signal%:*}" "$orchestrator"
		kill -"${signal%:*}" "$orchestrator" || true
		status=0
		wait "$orchestrator" || status=$?
		assert_equal "$status" "${signal#*:}"
		run cat said
		assert_output --partial "stopped after step"
	done
}

@test "nohup: a run that was told to ignore hangups does" {
	(trap '' HUP; exec ./dstrain run recipe.yaml --run-dir run "${endless[@]}" >out 2>said 3>&-) &
	orchestrator=$!
	wait_for 60 has_steps run 5
	kill -HUP "$orchestrator"
	wait_for 60 has_steps run $(($(grep -c step run/metrics.jsonl) + 20))
	./dstrain stop run
	wait "$orchestrator" || true
}

@test "the grace time ends a run whose worker is stopped, and says so" {
	begin 120 "${endless[@]}" --grace 2s
	kill -STOP "$(worker_of 1)"
	from=$EPOCHREALTIME
	kill -TERM "$orchestrator"
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 143
	[ "$(seconds_since "$from")" -lt 15 ]
	run cat said
	assert_output --partial "aborted: there was no complete checkpoint within the grace time of 2.0s"
	assert_output --regexp 'the checkpoint of step [0-9]+ is kept; go on with: dstrain resume run'
	nothing_runs
	is_state run aborted
}

@test "stop has a grace time of its own, and says when it was not enough" {
	begin 120 "${endless[@]}" --grace 1h
	kill -STOP "$(worker_of 0)"
	from=$EPOCHREALTIME
	run ./dstrain stop run --grace 2
	assert_failure 1
	assert_output --partial "within the grace time of 2.0s"
	[ "$(seconds_since "$from")" -lt 15 ]
	wait "$orchestrator" || true
	run ./dstrain run recipe.yaml --grace 0
	assert_failure 2
	assert_output --partial "out of range"
}

@test "stop --now ends a run at once" {
	detached run
	wait_for 60 has_steps run 120
	run ./dstrain stop run --now --json
	assert_success
	nothing_runs
	assert_equal "$(member run result)" aborted
	[ -e "$(newest run)/manifest.json" ]
}
