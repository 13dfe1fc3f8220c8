#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2086 # expanded on the hosts; a number
# Start-up: one host that does not answer delays no other, and what is there is not sent again.

load lab

setup_file() {
	lab_up four
}

# $took: the microseconds until it failed.
fail_to_run() {
	local began=${EPOCHREALTIME/./}

	echo 'connect_timeout: 6s' >>hosts.yaml
	run -1 user run recipe.yaml --hosts hosts.yaml --run-dir run "$@"
	took=$((${EPOCHREALTIME/./} - began))
}

# Only those that answered were set up, and the run ended when the patience with h2 did: there was
# not as much of it a second time.
must_have_gone_on_without_h2() {
	[ $took -lt 12000000 ] || fail "it took $took us"
	for host in h1 h3 h4; do
		lab exec $host sh -c 'test -x /root/.cache/dstrain/bin/*/dstrain' || fail "nothing was sent to $host"
		no_worker_on $host
	done
	lab exec h2 sh -c '! test -e /root/.cache/dstrain'
}

forget() {
	user clean --hosts hosts.yaml >/dev/null
}

@test "a host whose cable is pulled is named after its connect_timeout, and the others are set up meanwhile" {
	forget
	lab link h2 down
	fail_to_run --fanout 2
	lab link h2 up
	assert_output --partial 'h2: no answer from 10.77.0.2 port 22 within 6 s'
	refute_output --regexp 'h[134]: (no answer|gave up|cannot)'
	must_have_gone_on_without_h2
}

@test "a host whose sshd is stopped is named after its connect_timeout, and the others are set up meanwhile" {
	forget
	sshd=$(sshd_of h2)
	kill -STOP "$sshd"
	fail_to_run --fanout 2
	kill -CONT "$sshd"
	assert_output --regexp 'h2: gave up after 6 s'
	refute_output --regexp 'h[134]: (no answer|gave up|cannot)'
	must_have_gone_on_without_h2
}

@test "what a host has is not sent again" {
	forget
	run user run recipe.yaml --hosts hosts.yaml --run-dir cold
	assert_success
	assert_output --regexp 'h[1-4]: [0-9.]+ MiB of [0-9.]+ MiB sent'
	run user run recipe.yaml --hosts hosts.yaml --run-dir warm
	assert_success
	refute_output --partial ' sent'$'\n'
	refute_output --regexp 'MiB of .* MiB sent'
}
