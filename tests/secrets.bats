#!/usr/bin/env bats
# What must stay secret is nowhere but where it is needed, and files are for their owner alone.

bats_require_minimum_version 1.5.0

load dstrain

tools=$BATS_TEST_DIRNAME/secrets

# Train in the background as begin does, and learn the key as it goes to the workers.
begin_traced() { # STEPS [FLAGS]
	local steps=$1

	shift
	bash -c 'kill -STOP $$; exec ./dstrain run recipe.yaml --run-dir run "$@"' - "$@" \
		>out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 grep -q '^State:.T' "/proc/$orchestrator/status"
	strace -xx -s 100000 -e trace=write -o "$BATS_TEST_TMPDIR.trace" -p "$orchestrator" 2>traced 3>&- &
	tracer=$!
	wait_for 60 grep -q attached traced || skip "this machine lets no process look into another"
	kill -CONT "$orchestrator"
	wait_for 60 has_steps run "$steps" || { cat said; return 1; }
	kill -INT "$tracer"
	wait "$tracer" || true
	key=$("$tools/key" "$BATS_TEST_TMPDIR.trace")
	rm "$BATS_TEST_TMPDIR.trace" traced
}

@test "once the ranks have met, the key is gone from all memory, and it never was in a file" {
	mkdir tmp
	export TMPDIR=$PWD/tmp XDG_CACHE_HOME=$PWD/tmp
	begin_traced 5 --set train.epochs=100000 --verbose

	[ "${#key}" = 64 ]
	# shellcheck disable=SC2046
	run "$tools/find" "$key" "$orchestrator" $(workers) "$PWD"
	assert_output --regexp '^looked at [0-9]{7,} bytes$'

	# What is there is found: the first bytes of the recipe's name, as long as half a key.
	run "$tools/find" "$(printf 'mlp\n  hidden: [3name: small\nhosts: ' | od -An -tx1 | tr -d ' \n')" "$PWD"
	assert_output --partial 'found in'
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
}

core_limit() { # PID
	awk '/^Max core file size/ { print $5 }' "/proc/$1/limits"
}

@test "a process that holds the key leaves no core file, unless that is asked for" {
	local most

	most=$(core_limit self)
	begin 2 --set train.epochs=100000
	for pid in "$orchestrator" $(workers); do
		assert [ "$(core_limit "$pid")" -le 1 ]
	done
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
	rm -r run
	export DSTRAIN_CORE=yes
	begin 2 --set train.epochs=100000
	for pid in "$orchestrator" $(workers); do
		assert_equal "$(core_limit "$pid")" "$most"
	done
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
}

@test "run directories are for their owner alone, whatever the umask" {
	umask 000
	run -0 train --set checkpoint.every=10
	run find run -type d ! -perm 700
	assert_output ""
	run find run -type f ! -perm 600
	assert_output ""
	umask 777
	run -0 train --run-dir second
	run find second -type d ! -perm 700
	assert_output ""
}
