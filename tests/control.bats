#!/usr/bin/env bats
# Another terminal can watch and stop a run: ps, status, logs, attach, stop.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a shell of its own; names of dstrain.bash

load dstrain

killed() { # DIR
	detached "$1"
	wait_for 60 has_steps "$1" 120
	kill -9 "$orchestrator"
	wait_for 8 nothing_runs
}

@test "stop during start-up" {
	./dstrain run recipe.yaml --run-dir run "${endless[@]}" --set data.samples=300000 \
		--set data.features=200 >out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 test -e run/logs/rank-1.log
	run ./dstrain stop run
	assert_success
	assert_output --partial "aborted after step 0"
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 143
}

@test "stop while hosts are being connected to" {
	python3 - <<-'END' 3>&- &
		import socket, time
		listener = socket.create_server(("127.0.0.1", 0))
		open("port.new", "w").write(str(listener.getsockname()[1]))
		__import__("os").rename("port.new", "port")
		time.sleep(300)
	END
	mute=$!
	wait_for 60 test -e port
	cat >hosts.yaml <<-END
		hosts:
		  a: {address: 127.0.0.1, port: $(cat port), connect_timeout: 120}
	END
	./dstrain run recipe.yaml --run-dir run --hosts hosts.yaml >out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 test -e run/socket
	wait_for 60 is_state run starting
	run ./dstrain stop run
	assert_success
	status=0
	wait "$orchestrator" || status=$?
	kill "$mute"
	assert_equal "$status" 143
}

@test "two runs at once: stopping one leaves the other" {
	./dstrain run recipe.yaml --detach "${endless[@]}" 3>&- >/dev/null
	./dstrain run recipe.yaml --detach "${endless[@]}" 3>&- >/dev/null
	run ./dstrain ps
	assert_line --regexp "^small +training +[0-9]+/1000000 .* $PWD/runs/small$"
	assert_line --regexp "^small-2 +training +[0-9]+/1000000 .* $PWD/runs/small-2$"
	./dstrain stop small
	is_state small stopped
	wait_for 60 is_state small-2 training
	seen=$(grep -c step runs/small-2/metrics.jsonl || true)
	wait_for 60 has_steps runs/small-2 $((seen + 20))
	./dstrain stop small-2
}

@test "a name that several runs have is not guessed" {
	mkdir a b
	train --quiet --run-dir a/run
	train --quiet --run-dir b/run
	for command in status logs stop attach; do
		run ./dstrain "$command" run
		assert_failure 2
		assert_output --partial "'run' may be '$PWD/a/run', '$PWD/b/run'; give the directory"
	done
	./dstrain status a/run
}

@test "ps as JSON, and directories that are gone are forgotten" {
	train --quiet --run-dir gone
	detached run
	./dstrain ps --json >ps.json
	python3 -c 'import json; runs = {r["name"]: r for r in json.load(open("ps.json"))["runs"]}
assert runs["gone"]["state"] == "done" and runs["run"]["state"] == "training", runs
assert runs["run"]["pid"] == int("'"$orchestrator"'") and runs["run"]["ranks"][1]["rank"] == 1, runs'
	assert_equal "$(find state/dstrain/runs -name '*.json' | wc -l)" 2
	rm -rf gone
	run ./dstrain ps
	refute_output --partial gone
	assert_equal "$(find state/dstrain/runs -name '*.json' | wc -l)" 1
	./dstrain stop run
}

@test "relative values of XDG_STATE_HOME are ignored" {
	mkdir home
	HOME=$PWD/home XDG_STATE_HOME=here train --quiet
	[ ! -e here ]
	HOME=$PWD/home XDG_STATE_HOME='' run ./dstrain ps
	assert_output --partial "$PWD/run"
}

@test "every command on a run that goes on" {
	detached run --hosts local:3
	wait_for 60 has_steps run 120
	run ./dstrain status run
	assert_success
	assert_line --regexp '^state +training$'
	assert_line --regexp '^step +[0-9]+ of 1000000$'
	assert_line --regexp '^last checkpoint +step [0-9]+$'
	assert_line --regexp '^   2 +local +training +[0-9.]+s ago'
	run ./dstrain logs run
	assert_success
	./dstrain attach run >seen 2>&1 3>&- &
	wait_for 60 grep -q 'epoch .* loss' seen
	kill -INT $!
	wait $! || true
	run cat seen
	assert_output --partial "3 ranks, 676 parameters"
	assert_output --regexp 'epoch [0-9]+/[0-9]+  step [0-9]+/1000000  loss'
	assert_output --partial "the run goes on; to stop it: dstrain stop $PWD/run"
	wait_for 60 is_state run training
	run ./dstrain resume run
	assert_failure
	assert_output --partial "in use by another dstrain"
	run ./dstrain stop run
	assert_success
}

@test "every command on a run that has ended" {
	train --quiet
	run ./dstrain status run
	assert_success
	assert_line --regexp '^state +done$'
	assert_line --regexp '^accuracy +[0-9.]+ %$'
	run ./dstrain logs run -f
	assert_success
	run ./dstrain stop run
	assert_success
	assert_output --partial "has ended already: done after step"
	run ./dstrain attach run
	assert_success
	assert_line --regexp '^model file  '"$PWD"'/run/checkpoints/step-[0-9]+/model.safetensors$'
	assert_line --regexp '^ +2 +[0-9]+ '
	rm -rf run/logs && train --quiet --run-dir bad --set train.optimizer.lr=0.1 --set data.samples=2000
	run ./dstrain ps
	assert_line --regexp '^run +done '
}

@test "every command on a run whose orchestrator was killed" {
	killed run
	run ./dstrain ps
	assert_line --regexp '^run +killed +- '
	run ./dstrain status run
	assert_success
	assert_line --regexp '^state +killed$'
	assert_output --partial "go on with: dstrain resume $PWD/run"
	run ./dstrain logs run -f
	assert_success
	assert_output --partial "orchestrator: dstrain: "
	for command in stop attach; do
		run ./dstrain "$command" run
		assert_failure 1
		assert_output --partial "was killed; go on with: dstrain resume $PWD/run"
	done
	./dstrain resume run --quiet --set train.steps=$(($(basename "$(newest run)" | cut -d - -f 2) + 100))
	is_state run 'done'
}

@test "a killed run that left no checkpoint is not said to go on" {
	detached run --set checkpoint.every=1000000
	wait_for 60 has_steps run 1
	kill -9 "$orchestrator"
	wait_for 8 nothing_runs
	for command in status stop attach; do
		run ./dstrain "$command" run
		assert_output --partial "was killed; no valid checkpoint in '$PWD/run/checkpoints'; to start anew: dstrain run $PWD/run/recipe.yaml --run-dir ANOTHER"
		refute_output --partial "dstrain resume"
	done
}

@test "every command on a run that nobody knows" {
	mkdir empty
	for command in status logs stop attach; do
		for name in nobody empty ./nowhere; do
			run ./dstrain "$command" "$name"
			assert_failure 2
			assert_output --partial "'$name'"
		done
	done
	run ./dstrain ps
	assert_success
}

@test "an orchestrator that is suspended is said to be, and not waited for without end" {
	detached run
	kill -STOP "$orchestrator"
	run ./dstrain ps
	assert_line --regexp '^run +silent +- '
	run timeout 60 ./dstrain stop run
	assert_failure 1
	assert_output --partial "does not answer"
	kill -CONT "$orchestrator"
	wait_for 60 is_state run stopped
}

@test "logs: every rank with its host, one rank alone, and to the end when followed" {
	detached run
	./dstrain logs run -f >followed 2>&1 3>&- &
	follower=$!
	wait_for 60 grep -q orchestrator followed || true
	echo "hello from nowhere" >>run/logs/rank-1.log
	wait_for 60 grep -qx "rank 1 (local): hello from nowhere" followed
	run ./dstrain logs run 1
	assert_output --partial "rank 1 (local): hello from nowhere"
	run ./dstrain logs run 0
	refute_output --partial hello
	run ./dstrain logs run 2
	assert_failure 2
	assert_output --partial "no rank '2'; this run has 2, from 0 on"
	./dstrain stop run
	wait "$follower"
	grep -q "^orchestrator: dstrain: stopped after step" followed
}

@test "two terminals are attached at once, and both see the end and its status" {
	python3 - <<-'END'
		import os, pty, signal, subprocess, time
		signal.alarm(120)
		run = subprocess.Popen(["./dstrain", "run", "recipe.yaml", "--run-dir", "run", "--quiet",
		                        "--set", "train.steps=1000000"], stderr=subprocess.DEVNULL)
		while not os.path.exists("run/socket"):
		    time.sleep(0.02)
		seats = []
		for i in range(3):
		    pid, terminal = pty.fork()
		    if pid == 0:
		        os.environ["TERM"] = "xterm"
		        os.execv("./dstrain", ["./dstrain", "attach", "run"])
		    seen = b""
		    while b"\r\033[Kepoch" not in seen:
		        seen += os.read(terminal, 4096)
		    seats.append((pid, terminal))
		pid, terminal = seats.pop()
		os.write(terminal, b"\x03")
		assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
		assert run.poll() is None
		subprocess.run(["./dstrain", "stop", "run", "--quiet"], check=True)
		for pid, terminal in seats:
		    seen = b""
		    try:
		        while True:
		            seen += os.read(terminal, 4096)
		    except OSError:
		        pass
		    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 143, seen
		assert run.wait() == 143
	END
}

@test "attach ends with the summary of a run that is done" {
	./dstrain run recipe.yaml --run-dir run --detach --set train.steps=2000 \
		--set train.eval_every=500 3>&- >/dev/null
	run ./dstrain attach run
	assert_success
	assert_line --regexp '^ +[0-9]+ +2000 '
	assert_line --regexp '^trained +2000 steps in '
}

@test "attach to a run that is killed says so" {
	detached run
	(wait_for 60 has_steps run 120 && kill -9 "$orchestrator") 3>&- &
	run ./dstrain attach run
	assert_failure 1
	assert_output --partial "was killed; go on with: dstrain resume $PWD/run"
}

@test "garbage, silence and slowness at the socket do not disturb the run" {
	detached run
	python3 - <<-'END'
		import json, os, socket, stat, time
		assert stat.S_IMODE(os.stat("run/socket").st_mode) == 0o600
		def dial():
		    s = socket.socket(socket.AF_UNIX)
		    s.connect("run/socket")
		    s.settimeout(60)
		    return s
		def rest(s):
		    seen = b""
		    try:
		        while chunk := s.recv(65536):
		            seen += chunk
		    except ConnectionResetError:
		        pass
		    return seen
		for text in b"\n", b"hello\n", b"[]\n", b"{}\n", b'{"ask":"rm"}\n', b'{"ask":7}\n', b"\xff\xfe\0\n":
		    s = dial()
		    s.send(text)
		    assert json.loads(rest(s))["kind"] == "error", text
		s = dial()
		s.send(b"x" * 100000)
		assert rest(s) == b""
		deaf = dial()
		deaf.send(b'{"ask":"attach"}\n')       # and never reads
		mute = dial()                          # and never asks
		crowd = [dial() for i in range(60)]    # more than are let in
		assert rest(mute) == b""
		for s in crowd:
		    s.close()
		s = dial()
		s.send(b'{"ask":"status"}\n')
		assert json.loads(rest(s))["state"] == "training"
	END
	seen=$(grep -c step run/metrics.jsonl)
	wait_for 60 has_steps run $((seen + 20))
	./dstrain stop run
}

@test "another user can neither watch nor stop a run" {
	[ "$(id -u)" = 0 ] || skip "needs another user: root (missing hardware)"
	detached run
	python3 - <<-'END'
		import os, socket
		os.chmod("run/socket", 0o666)     # as if the file's mode did not count
		s = socket.socket(socket.AF_UNIX)
		at = os.open("run", os.O_PATH)
		os.setuid(65534)
		try:
		    s.connect(f"/proc/self/fd/{at}/socket")
		    s.send(b'{"ask":"stop"}\n')
		    assert s.recv(100) == b""
		except (ConnectionResetError, PermissionError, BrokenPipeError):
		    pass
	END
	wait_for 60 is_state run training
	./dstrain stop run
}

@test "a run directory with a long path is watched and stopped all the same" {
	deep=$PWD/$(printf 'a%.0s' {1..60})/$(printf 'b%.0s' {1..60})/run
	detached "$deep"
	wait_for 60 is_state "$deep" training
	run ./dstrain stop "$deep"
	assert_success
}
