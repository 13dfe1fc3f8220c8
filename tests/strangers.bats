#!/usr/bin/env bats
# Strangers on the data network: they are refused and counted, and the training does not notice.

bats_require_minimum_version 1.5.0

load dstrain

low=$((20000 + (BASHPID + BATS_TEST_NUMBER * 50) % 10000))
ports=("$low" $((low + 1)) $((low + 2)))
tools=$BATS_TEST_DIRNAME/strangers

# Loading takes a while here, so that there is time to knock.
slow_recipe() {
	cat >recipe.yaml <<-'END'
		name: small
		hosts: local:2
		data: {format: synthetic, samples: 200000, features: 64, classes: 4, noise: 2}
		model: {preset: mlp, hidden: [32]}
		train: {steps: 20, batch: 64, optimizer: {name: sgd, lr: 0.1, momentum: 0.9}}
	END
}

# A run while a stranger knocks at all ports that its ranks may have, from before they open.
run_among() { # WAY
	slow_recipe
	run -0 train --run-dir quiet
	"$tools/stranger" "$1" 600 "${ports[@]}" >strangers 2>knocking 3>&- &
	stranger=$!
	wait_for 60 test -s knocking
	run train --set "transport.port=$low-${ports[-1]}"
	kill "$stranger"
	wait "$stranger"
	cat strangers
	assert_success
	run cat strangers
	assert_output --regexp '^[1-9][0-9]* connections were accepted'
	assert_same_training quiet run
}

# One line in a rank's log, and nothing else that is wrong.
assert_refused() { # WHY
	run cat run/logs/rank-0.log
	assert_output --regexp "^dstrain: warning: rank 0 refused [0-9]+ connections? that (is|are) not of this run, the last one from 127\.0\.0\.1:[0-9]+: .*$1"
	assert_equal "${#lines[@]}" 1
}

@test "who connects and says nothing is counted and sent away" {
	run_among silent
	assert_refused "(had not shown this run's key|said nothing that counts|made room|connection closed)"
}

@test "who sends garbage is counted and sent away" {
	run_among garbage
	assert_refused ''
}

@test "a flood at start-up does not keep the ranks from each other" {
	run_among flood
	assert_refused ''
}

@test "an old TLS, and a hello without TLS, are refused" {
	run_among old-tls
	assert_refused ''
	run cat strangers
	assert_output --partial ', 0 of them were answered'
	rm -r quiet run
	run_among plain
	assert_refused ''
}

@test "a handshake that was recorded is of no use in the next run" {
	slow_recipe
	strace -f -xx -s 100000 -e trace=write,writev,sendto,sendmsg -o "$BATS_TEST_TMPDIR.trace" \
		./dstrain run recipe.yaml --run-dir recorded
	"$tools/first_words" "$BATS_TEST_TMPDIR.trace" >words
	rm -r "$BATS_TEST_TMPDIR.trace"
	run_among "replay:words"
	assert_refused ''
	run cat strangers
	assert_output --partial ', 0 of them were answered'
}

@test "once the ranks have met, nobody listens" {
	begin 2 --set train.epochs=100000 --set "transport.port=$low-${ports[-1]}"
	run "$tools/stranger" flood 1 "${ports[@]}"
	assert_output --partial '0 connections were accepted'
	# shellcheck disable=SC2154 # begin sets it
	kill -INT "$orchestrator"
	wait "$orchestrator" || true
	[ -e run/logs/rank-0.log ] && [ ! -s run/logs/rank-0.log ]
}
