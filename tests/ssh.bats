#!/usr/bin/env bats
# bats file_tags=long
# shellcheck disable=SC2016  # single quotes: what stands in them is expanded on the hosts
# dstrain over SSH: a lab of four hosts, each with a real sshd, a host key and a home of its own.

load lab

setup_file() {
	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	export LAB_DIR="$BATS_FILE_TMPDIR/labs" LAB_NAME=four
	export PATH="$BATS_TEST_DIRNAME/lab:$PATH"
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	export DSTRAIN
	cat >"$BATS_FILE_TMPDIR/r.yaml" <<-END
		name: small
		data: {format: csv, train: $BATS_FILE_TMPDIR/train.csv, test: $BATS_FILE_TMPDIR/test.csv}
		model: {preset: mlp, hidden: [16]}
		train: {epochs: 4, batch: 64, optimizer: {name: adam, lr: 0.01}}
		checkpoint: {every: 10}
	END
	make_samples 1000 >"$BATS_FILE_TMPDIR/train.csv"
	make_samples 200 >"$BATS_FILE_TMPDIR/test.csv"
	lab up four >/dev/null
}

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	state=$LAB_DIR/four
	recipe=$BATS_FILE_TMPDIR/r.yaml
	cp "$state/hosts.yaml" "$BATS_TEST_TMPDIR/hosts.yaml"
	cp "$state/known_hosts" "$BATS_TEST_TMPDIR/known_hosts"
	cd "$BATS_TEST_TMPDIR" || return
	sed -i "s#^known_hosts:.*#known_hosts: $PWD/known_hosts#" hosts.yaml
}

# Lines of three numbers and the class of their sum.
make_samples() {
	awk -v n="$1" 'BEGIN { srand(7); for (i = 0; i < n; i++) { a = rand(); b = rand(); c = rand()
		printf "%.4f,%.4f,%.4f,%d\n", a, b, c, (a + b + c > 1.5) } }'
}

train() {
	user run "$recipe" --hosts hosts.yaml --run-dir run "$@"
}

# The same in the background: $! is dstrain itself.
train_long() {
	(exec lab run -- "$DSTRAIN" run "$recipe" --hosts hosts.yaml --run-dir run --set train.epochs=100000 --set checkpoint.every=30 >out 2>&1 3>&-) &
	pid=$!
	until_true grep -q '"step":40,' run/metrics.jsonl
}

losses() {
	python3 -c 'import json, sys
for line in open(sys.argv[1] + "/metrics.jsonl"):
	r = json.loads(line)
	print(r["kind"], r["step"], repr(r["loss"]))' "$1"
}

no_worker_anywhere() {
	for host in h1 h2 h3 h4; do
		until_true no_worker_on $host
	done
}

worker_pid() {
	lab exec "$1" sh -c 'for p in /proc/[0-9]*; do
		case $(readlink $p/exe) in */dstrain/bin/*) echo ${p#/proc/};; esac
	done' | head -n 1
}

@test "four hosts over SSH give the same losses and model as four local workers, bit for bit" {
	train --quiet
	user run "$recipe" --hosts local:4 --run-dir here --quiet
	assert_equal "$(losses run)" "$(losses here)"
	cmp run/checkpoints/step-60/model.safetensors here/checkpoints/step-60/model.safetensors
	no_worker_anywhere
}

@test "a second run sends nothing that the hosts have" {
	run user run "$recipe" --hosts hosts.yaml --run-dir one
	assert_success
	run user run "$recipe" --hosts hosts.yaml --run-dir two
	assert_success
	refute_output --partial ' sent'
}

@test "a run over SSH is stopped by SIGINT and resumed to the same model" {
	train_long
	kill -INT $pid
	status=0
	wait $pid || status=$?
	assert_equal $status 130
	no_worker_anywhere
	stopped=$(grep -o 'stopped after step [0-9]*' out | cut -d' ' -f4)
	# a multiple of an epoch's 15 steps
	epochs=$((stopped / 15 + 2))
	run user resume run --set train.epochs=$epochs
	assert_success
	assert_output --partial "resuming from step $stopped"
	user run "$recipe" --hosts hosts.yaml --run-dir whole --quiet --set train.epochs=$epochs
	assert_equal "$(losses run)" "$(losses whole)"
}

@test "several slots on a host and hosts written inline as name:slots" {
	run user run "$recipe" --hosts hosts.yaml --run-dir plain --json
	assert_success
	sed -i 's/h1: {address: \([0-9.]*\)}/h1: {address: \1, slots: 9}/; /h[34]:/d' hosts.yaml
	run --separate-stderr user run "$recipe" --hosts hosts.yaml --run-dir slots --json
	assert_success
	assert_output --partial '"world": 10'
}

@test "hosts check finds four good hosts that all reach each other" {
	run user hosts check --hosts hosts.yaml
	assert_success
	assert_line --regexp '^ok +h1: x86_64, glibc '
	assert_line --regexp "^ok +h4: reaches 'h1' at 10\."
	assert_equal "$(grep -c reaches <<<"$output")" 12
}

@test "hosts check names a network that a host is not on, and how to mend it" {
	sed -i 's#^network:.*#network: 10.99.0.0/16#' hosts.yaml
	run user hosts check --hosts hosts.yaml
	assert_failure 1
	assert_output --partial "problem h1: no address within network '10.99.0.0/16'"
	assert_output --partial 'fix: set `network:`'
}

@test "an unknown host key is refused with its fingerprint and the command that accepts it" {
	fingerprint=$(ssh-keygen -lf known_hosts | awk 'NR == 1 { print $2 }')
	sed -i 1d known_hosts
	mkdir "own keys"
	mv known_hosts "own keys/known"
	sed -i "s#^known_hosts:.*#known_hosts: $PWD/own keys/known#" hosts.yaml
	run train
	assert_failure 1
	assert_output --partial "h1: its host key is not known: ssh-ed25519 $fingerprint"
	assert_output --partial "ssh-keyscan -t ed25519 -p 22 10."
	command=$(grep -o 'ssh-keyscan.*' <<<"$output")
	lab run -- sh -c "$command" 2>/dev/null
	train --quiet
}

@test "a changed host key is refused" {
	awk '{ key[NR] = $2 " " $3; name[NR] = $1 } END { key[1] = key[2]; for (i = 1; i <= NR; i++) print name[i], key[i] }' \
		known_hosts >changed
	mv changed known_hosts
	run train
	assert_failure 1
	assert_output --partial 'h1: its host key has CHANGED'
	assert_output --partial 'ssh-keygen'
}

@test "a wrong user, a wrong key and a missing key are told apart from each other" {
	sed -i 's/^user: root/user: nobody/' hosts.yaml
	run train
	assert_failure 1
	assert_output --partial "h1: permission denied for user 'nobody'"
	sed -i 's/^user: .*/user: root/' hosts.yaml
	ssh-keygen -q -t ed25519 -N '' -f other
	sed -i "s#^identity:.*#identity: $PWD/other#" hosts.yaml
	run train
	assert_failure 1
	assert_output --partial "h1: permission denied for user 'root' (tried $PWD/other: refused)"
	sed -i "s#^identity:.*#identity: $PWD/missing#" hosts.yaml
	run train
	assert_failure 1
	assert_output --partial "$PWD/missing"
}

@test "a key that asks for a passphrase does not hang the run" {
	ssh-keygen -q -t ed25519 -N secret -f locked
	sed -i "s#^identity:.*#identity: $PWD/locked#" hosts.yaml
	run timeout 60 lab run -- "$DSTRAIN" run "$recipe" --hosts hosts.yaml --run-dir run
	assert_failure 1
	assert_output --partial 'ssh-add'
}

@test "a host that is down is named" {
	sed -i 's/10\.77\.0\.3}/10.77.0.200}/' hosts.yaml
	run train
	assert_failure 1
	assert_output --partial 'h3: cannot connect to 10.77.0.200 port 22'
}

@test "a host whose cable is pulled is named within its connect timeout" {
	lab link h2 down
	echo 'connect_timeout: 2s' >>hosts.yaml
	run train
	lab link h2 up
	assert_failure 1
	assert_output --partial 'h2: no answer from 10.77.0.2 port 22 within 2 s'
}

# Is a run stopped at once that waits for h2?
assert_stops() { # CONNECTION-STATE
	local pid status=0 began

	(exec lab run -- "$DSTRAIN" run "$recipe" --hosts hosts.yaml --run-dir "$1" >out 2>&1 3>&-) &
	pid=$!
	until_true waits_for_h2 "$1" || { cat out; kill -9 $pid; return 1; }
	began=${EPOCHREALTIME/./}
	kill -TERM $pid
	wait $pid || status=$?
	echo "ended with $status after $((${EPOCHREALTIME/./} - began)) us"
	cat out
	[ $status = 143 ] && [ $((${EPOCHREALTIME/./} - began)) -lt 15000000 ] && grep -q 'aborted' out
}

waits_for_h2() {
	lab run -- ss -Htn state "$1" dst 10.77.0.2:22 | grep -q .
}

@test "a stop does not wait for a host that does not answer" {
	echo 'connect_timeout: 30s' >>hosts.yaml
	lab link h2 down
	ended=0
	assert_stops syn-sent || ended=$?
	lab link h2 up
	assert_equal $ended 0
	sshd=$(sshd_of h2)
	kill -STOP "$sshd"
	until_true grep -q '^State:.T' "/proc/$sshd/status"
	assert_stops established || ended=$?
	kill -CONT "$sshd"
	assert_equal $ended 0
}

@test "a cache directory that cannot be written is said" {
	lab exec h1 sh -c 'rm -rf /root/.cache && touch /root/.cache'
	run train
	lab exec h1 sh -c 'rm /root/.cache'
	assert_failure 1
	assert_output --partial 'h1: '
	assert_output --partial '/root/.cache'
	assert_output --partial 'make it writable, or set XDG_CACHE_HOME there'
}

@test "another dstrain on the host is refused with both versions" {
	train --quiet
	lab exec h1 sh -c "for f in /root/.cache/dstrain/bin/*/dstrain; do
		size=\$(stat -c %s \$f) && printf x | dd of=\$f bs=1 seek=\$((size - 1)) conv=notrunc 2>/dev/null
	done"
	run user run "$recipe" --hosts hosts.yaml --run-dir again
	lab exec h1 rm -rf /root/.cache
	assert_failure 1
	assert_output --partial 'another dstrain runs there: release '
	assert_output --partial "; if its copy was changed, remove '/root/.cache/dstrain/bin/"
}

@test "the same data under two names is found on the hosts" {
	cp "$BATS_FILE_TMPDIR/train.csv" "one more.csv"
	train --quiet --set "data.test=$PWD/one more.csv"
}

@test "each file of a list of data files is sent" {
	head -c $((3073 * 40)) /dev/zero >one
	head -c $((3073 * 20)) /dev/zero >two
	printf 'data: {format: cifar10, train: [one, two]}\nmodel: softmax\ntrain: {steps: 2, batch: 16}\n' >list.yaml
	run user run list.yaml --hosts hosts.yaml --run-dir run
	assert_success
	assert_output --partial '60 training and 0 test samples'
}

@test "damaged data in a host's cache is not trained on, and sent again" {
	train --quiet
	lab exec h2 sh -c 'for f in /root/.cache/dstrain/data/*; do tr 0-4 5-9 <$f >/tmp/x; cat /tmp/x >$f; done'
	run user run "$recipe" --hosts hosts.yaml --run-dir again
	assert_failure 1
	assert_output --regexp "rank [1-3] on 'h2': '/root/.cache/dstrain/data/[0-9a-f]+' is damaged and was removed; start again to have it sent anew"
	user run "$recipe" --hosts hosts.yaml --run-dir again --quiet
	assert_equal "$(losses again)" "$(losses run)"
}

@test "a login shell that runs nothing is quoted" {
	lab exec h2 sh -c 'sed "s#^\(root:.*:\).*#\1/usr/sbin/nologin#" /etc/passwd >/tmp/passwd; mount --bind /tmp/passwd /etc/passwd'
	run train
	lab exec h2 umount /etc/passwd
	assert_failure 1
	assert_output --partial "h2: This account is currently not available. (the remote command: exit status 1)"
}

@test "a cache directory from which no program may run is said" {
	lab exec h2 sh -c 'rm -rf /root/.cache; mkdir /root/.cache; mount -t tmpfs -o noexec none /root/.cache'
	run user hosts check --hosts hosts.yaml
	lab exec h2 umount /root/.cache
	assert_failure 1
	assert_output --regexp "problem h2: dstrain does not run there: .*Permission denied; fix: .*noexec"
}

@test "a login shell that talks, and one that is not bash, do no harm" {
	lab exec h1 sh -c 'echo "echo welcome to h1; echo oops >&2" >/root/.bashrc'
	train --quiet
	lab exec h1 rm /root/.bashrc
}

@test "a killed worker ends the run with status 3, its host's name, and nothing left behind" {
	train_long
	lab exec h3 kill -9 "$(worker_pid h3)"
	began=$SECONDS
	status=0
	wait $pid || status=$?
	assert_equal $status 3
	[ $((SECONDS - began)) -le 20 ]
	grep -q "rank 2 on 'h3' was killed by SIGKILL" out
	grep -q 'dstrain resume run' out
	no_worker_anywhere
}

# The silence lasts 3 s; the ranks themselves would wait for a minute.
@test "a host that falls silent ends the run within seconds, with status 3, however many ranks it has" {
	sed -i 's/^  h2: {/&slots: 6, /' hosts.yaml
	train_long
	lab link h2 down
	began=${EPOCHREALTIME/./}
	status=0
	wait $pid || status=$?
	took=$((${EPOCHREALTIME/./} - began))
	lab link h2 up
	assert_equal $status 3
	[ $took -lt 20000000 ] || fail "after $took us"
	grep -q "'h2'" out
	no_worker_on h1
}

@test "what hangs before its first word is ended too" {
	train --quiet
	echo 'connect_timeout: 5s' >>hosts.yaml
	lab exec h2 sh -c 'for f in /root/.cache/dstrain/bin/*/dstrain; do
		size=$(stat -c %s $f); printf "#!/bin/sh\nkill -STOP \$\$\n" >$f; truncate -s $size $f; done'
	ended=0
	user run "$recipe" --hosts hosts.yaml --run-dir again 2>said || ended=$?
	cat said
	run lab exec h2 sh -c 'ps -A -o stat= | grep T'
	lab exec h2 rm -rf /root/.cache
	assert_output ''
	assert_equal $ended 3
	grep -q "rank 1 on 'h2' did not answer for 5 seconds" said
}

@test "a copy that crawls ends the run, and leaves nothing on the host" {
	lab exec h2 rm -rf /root/.cache
	lab rate h2 8mbit
	user run "$recipe" --hosts hosts.yaml --run-dir run >said 2>&1 3>&- &
	orchestrator=$!
	until_true grep -q "h2: .* sent" said
	lab rate h2 1kbit
	began=$SECONDS
	ended=0
	wait $orchestrator || ended=$?
	lab rate h2 none
	cat said
	assert_equal $ended 1
	# 30 s without a piece; what the kernels still had room for may count as one more piece first
	[ $((SECONDS - began)) -le 90 ]
	grep -q "h2: writing '/root/.cache/dstrain/bin/" said
	until no_shell_on h2; do
		[ $((SECONDS - began)) -le 150 ]
		sleep 0.5
	done
}

# Nothing that was started over SSH is left on a host.
no_shell_on() {
	! lab exec "$1" sh -c 'ps -A -o comm=' | grep -vE '^(sshd|sh|ps)$'
}

@test "when the user's machine is gone, no worker is left on any host" {
	train_long
	kill -9 $pid
	wait $pid || true
	no_worker_anywhere
}

@test "no secret and no address stands in a worker's command line or environment" {
	train_long
	run lab exec h1 sh -c "tr '\\0' ' ' </proc/$(worker_pid h1)/cmdline"
	kill -INT $pid
	wait $pid || true
	assert_output --regexp '^/root/.cache/dstrain/bin/[0-9a-f]{64}/dstrain worker ?$'
}
