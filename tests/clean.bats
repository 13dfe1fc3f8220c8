#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154,SC2086 # expanded on the hosts; pid, a number, comes from `begin`
# dstrain clean: nothing of ours stays on a host, and nothing of others is touched.

load lab

setup_file() {
	lab_up pair
}

on() { # HOST SCRIPT
	lab exec "$1" sh -c "$2"
}

short() {
	user run recipe.yaml --hosts hosts.yaml --quiet --run-dir "$1" >/dev/null
}

cache_of() { # HOST: what is in it
	on "$1" 'cd /root/.cache/dstrain 2>/dev/null && find . -type f'
}

@test "everything goes: programs, data, halves of both, sockets, and what it was in" {
	short one
	on h1 'mkdir -p .cache/dstrain/data /tmp/dstrain-0 .cache/other
		echo x >.cache/dstrain/data/abc; echo y >.cache/dstrain/data/abc.0123456789abcdef
		touch .cache/other/file /tmp/dstrain-0/file
		python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/dstrain-0/dead\")"'
	run user clean --hosts hosts.yaml --dry-run
	assert_success
	assert_line --regexp '^h1: would remove 1 program, 2 data files, 1 socket, [0-9.]+ MiB$'
	[ "$(cache_of h1 | wc -l)" = 3 ]
	run user clean --hosts hosts.yaml
	assert_success
	assert_line --regexp '^h1: removed 1 program, 2 data files, 1 socket, [0-9.]+ MiB$'
	assert_line --regexp '^h2: removed 1 program, [0-9.]+ MiB$'
	run on h1 'ls .cache /tmp/dstrain-0'
	refute_output --partial dstrain$'\n'
	refute_output --partial dead
	assert_output --partial other
	assert_output --partial file # not a socket, and not known to be ours
	run user clean --hosts hosts.yaml
	assert_success
	assert_output $'h1: nothing to remove\nh2: nothing to remove'
	short two # and a run after it sends everything anew
}

@test "a socket that somebody listens at stays" {
	on h1 'mkdir -p /tmp/dstrain-0; rm -f /tmp/dstrain-0/*
		setsid python3 -c "import socket, time; s = socket.socket(socket.AF_UNIX)
s.bind(\"/tmp/dstrain-0/live\"); s.listen(); time.sleep(600)" </dev/null >/dev/null 2>&1 &
		echo $! >listener'
	until_true on h1 'test -S /tmp/dstrain-0/live'
	user clean --hosts hosts.yaml
	on h1 'test -S /tmp/dstrain-0/live; kill $(cat listener)'
	user clean --hosts hosts.yaml
	on h1 '! test -e /tmp/dstrain-0'
}

@test "a host on which a run is at work is left alone, and the worker named" {
	begin run 40
	run user clean --hosts hosts.yaml
	assert_failure 1
	assert_line --regexp "h1: a run is at work there: pid $(workers_on h1) \(dstrain-[0-9a-f]{7}\), started from 10\."
	[ -n "$(cache_of h1)" ]
	run --separate-stderr user clean --hosts hosts.yaml --json
	assert_failure 1
	python3 -c 'import json, sys; a = json.loads(sys.argv[1])
assert [h["result"] for h in a] == ["busy", "busy"] and a[0]["items"][0]["kind"] == "busy worker", a' "$output"
	kill -0 $pid
	run user clean --hosts hosts.yaml --force
	assert_success
	assert_line --regexp '^h1: removed 1 program, 1 worker, '
	status=0
	wait $pid || status=$?
	assert_equal $status 3
	no_worker_on h1
	assert_equal "$(cache_of h1)" ''
}

@test "a worker that outlived its run goes; a stranger of the same name does not" {
	begin run 40
	worker=$(workers_on h1)
	on h1 "kill -STOP $worker"
	on h1 "cp /bin/sleep dstrain; (exec setsid ./dstrain 77 </dev/null >/dev/null 2>&1) & echo \$! >stranger"
	# Its sshd goes, then dstrain, which learns of nothing: nobody is left who could end it.
	kill -STOP $pid
	on h1 "kill -9 \$(sed 's/.*) . \([0-9]*\) .*/\1/' /proc/$worker/stat)"
	kill -9 $pid
	wait $pid || true
	assert_equal "$(workers_on h1)" "$worker"
	run user clean --hosts hosts.yaml
	assert_success
	assert_line --regexp '^h1: removed 1 program, 1 worker, '
	no_worker_on h1
	on h1 'kill $(cat stranger)'
}

@test "a host that is gone does not keep the others, and gives exit status 3" {
	short one
	sed -i 's/^hosts:/connect_timeout: 4s\nhosts:/' hosts.yaml
	lab link h1 down
	started=$SECONDS
	run user clean --hosts hosts.yaml
	took=$((SECONDS - started))
	lab link h1 up
	assert_failure 3
	assert_line --regexp '^dstrain: error: h1: '
	assert_line --regexp '^h2: removed 1 program, '
	[ $took -lt 20 ]
	until_true user clean --hosts hosts.yaml
}

@test "on a terminal it asks first, and takes only yes for yes" {
	short one
	for answer in n '' y; do
		run script -qec "lab run -- $DSTRAIN clean --hosts hosts.yaml" /dev/null < <(sleep 1; echo "$answer")
		assert_output --partial 'h1: would remove 1 program'
		assert_output --partial 'remove it? [y/N]'
		[ "$answer" = y ] || [ -n "$(cache_of h1)" ]
	done
	assert_output --partial 'h1: removed 1 program'
	assert_equal "$(cache_of h1)" ''
	short two
	run script -qec "lab run -- $DSTRAIN clean --hosts hosts.yaml -y" /dev/null </dev/null
	refute_output --partial '[y/N]'
	assert_equal "$(cache_of h1)" ''
}

@test "this machine is cleaned like any other" {
	export HOME=$PWD XDG_RUNTIME_DIR=$PWD/run
	unset XDG_CACHE_HOME
	mkdir -p .cache/dstrain/data run
	echo x >.cache/dstrain/data/abc
	run "$DSTRAIN" clean --hosts local:2
	assert_success
	assert_output "local: removed 1 data file, 4.0 KiB"
	[ ! -e .cache/dstrain ]
	run "$DSTRAIN" clean
	assert_failure 2
	assert_output --partial 'which hosts?'
}
