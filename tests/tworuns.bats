#!/usr/bin/env bats
# bats file_tags=long
# shellcheck disable=SC2154,SC2030,SC2031,SC2086 # pid comes from `begin`; tests are shells of their own
# Two runs at once, on the same hosts or on this machine: they do not know of each other.

load lab

setup_file() {
	lab_up pair
}

teardown() {
	local host

	for host in h1 h2; do
		until_true no_worker_on $host || return
	done
}

finish() { # DIR FLAGS...: a whole run in the background
	local dir=$1

	shift
	(exec lab run -- "$DSTRAIN" run recipe.yaml --hosts hosts.yaml --run-dir "$dir" "$@" >"$dir.out" 2>&1 3>&-) &
}

assert_ends() { # PID STATUS
	local status=0

	wait "$1" || status=$?
	assert_equal "$status" "$2"
}

@test "two runs that begin at once on hosts that have nothing give what each gives alone" {
	user clean --hosts hosts.yaml
	finish one --set seed=1
	one=$!
	finish two --set seed=2 --set sync=local_sgd
	two=$!
	assert_ends $one 0
	assert_ends $two 0
	grep -q ' sent$' one.out
	grep -q ' sent$' two.out
	user run recipe.yaml --hosts hosts.yaml --run-dir one-alone --quiet --set seed=1
	user run recipe.yaml --hosts hosts.yaml --run-dir two-alone --quiet --set seed=2 --set sync=local_sgd
	diff <(losses one) <(losses one-alone)
	diff <(losses two) <(losses two-alone)
	run lab exec h1 find .cache/dstrain -type f # one program, and no half of one
	assert_equal "${#lines[@]}" 1
}

@test "two runs share a range of ports" {
	begin one 40 --set transport.port=40000-40003
	one=$pid
	begin two 40 --set transport.port=40000-40003
	kill -INT $one $pid
	assert_ends $one 130
	assert_ends $pid 130
}

@test "a port that another program listens on is an error that says what to do" {
	# shellcheck disable=SC2016 # expanded on the host
	lab exec h1 sh -c 'setsid python3 -c "import socket, time; s = socket.socket()
s.bind((\"0.0.0.0\", 41000)); s.listen(); time.sleep(600)" </dev/null >/dev/null 2>&1 & echo $! >listener'
	until_true lab exec h1 sh -c 'ss -ltn | grep -q :41000'
	run user run recipe.yaml --hosts hosts.yaml --set transport.port=41000
	# shellcheck disable=SC2016 # expanded on the host
	lab exec h1 sh -c 'kill $(cat listener)'
	assert_failure 1
	assert_output --partial "transport.port has to leave a free one for each rank"
}

@test "stopping, aborting or killing one never touches the other" {
	begin one 40
	one=$pid
	begin two 40
	kill -INT $pid
	assert_ends $pid 130
	begin three 40
	kill -INT $pid
	kill -INT $pid
	wait $pid || true
	begin four 40
	kill -9 $pid
	wait $pid || true
	begin five 40
	lab exec h1 kill -9 "$(workers_on h1 | sort -n | tail -n 1)" # the youngest: of five
	assert_ends $pid 3
	kill -0 $one
	until_true has_steps one $(($(grep -c step one/metrics.jsonl) + 40))
	kill -INT $one
	assert_ends $one 130
	grep -q 'stopped after step' one.out
	grep -c '"kind":"step"' one/metrics.jsonl >steps
	assert_equal "$(find one/checkpoints -name "step-$(cat steps)")" "one/checkpoints/step-$(cat steps)"
}

@test "runs of one name that begin at the same moment take directories of their own" {
	local pids=()

	for i in 1 2 3 4 5 6; do
		"$DSTRAIN" run recipe.yaml --hosts local:1 --quiet --set seed=$i --set train.steps=20 >/dev/null 2>"said$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		assert_ends "$i" 0
	done
	for i in small small-2 small-3 small-4 small-5 small-6; do
		assert_equal "$(grep -c '"kind":"step"' runs/$i/metrics.jsonl)" 20
		"$DSTRAIN" ckpt verify runs/$i --quiet
	done
	assert_equal "$(grep -h '^seed' runs/*/recipe.yaml | sort -u | wc -l)" 6
}

@test "a run directory that is in use is nobody else's" {
	begin one 40
	run user resume one
	assert_failure 2
	assert_output --partial "'one' is in use by another dstrain"
	run user run recipe.yaml --hosts hosts.yaml --run-dir one
	assert_failure 1
	assert_output --partial "'one' is in use by another dstrain"
	kill -INT $pid
	assert_ends $pid 130
}
