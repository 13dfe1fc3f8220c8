#!/usr/bin/env bats
# shellcheck disable=SC2016  # single quotes: what stands in them is expanded elsewhere
# The virtual cluster that other tests stand on.

bats_require_minimum_version 1.5.0

setup_file() {
	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	export LAB_DIR="$BATS_FILE_TMPDIR/labs"
	export PATH="$BATS_TEST_DIRNAME/lab:$PATH"
	unset LAB_NAME
}

setup() {
	load /usr/lib/bats/bats-support/load
	load /usr/lib/bats/bats-assert/load
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	for dir in "$LAB_DIR"/*/; do
		[ ! -d "$dir" ] || lab down "$(basename "$dir")"
	done
}

# on_ctl LAB COMMAND...: run a command on the user's side of a lab
on_ctl() {
	lab --name "$1" run -- "${@:2}"
}

lab_ssh() {
	on_ctl "$1" ssh -F "$LAB_DIR/$1/ssh_config" "${@:2}"
}

# until_true COMMAND...: wait for a condition, at most a minute
until_true() {
	local deadline=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || fail "never true: $*"
		sleep 0.02
	done
}

# assert_ends PID STATUS
assert_ends() {
	local status=0
	wait "$1" || status=$?
	assert_equal $status "$2"
}

# the rate from one host to another, in Mbit/s
measure() {
	local lab=$1 from=$2 to=$3 address
	address=$(sed -n "s/^  $to: {address: \([0-9.]*\).*/\1/p" "$LAB_DIR/$lab/hosts.yaml")
	lab --name "$lab" exec "$to" iperf3 --server --one-off >/dev/null 3>&- &
	until_true lab --name "$lab" exec "$to" sh -c 'ss -ltn | grep -q :5201'
	lab --name "$lab" exec "$from" iperf3 --client "$address" --time 2 --format m | awk '/receiver/ { print $7 }'
	wait $!
}

# assert_rate LAB FROM TO MBIT: within 10 %, in one of six tries: a busy machine only makes it less
assert_rate() {
	local try rate
	for try in 1 2 3 4 5 6; do
		rate=$(measure "$1" "$2" "$3")
		awk -v rate="$rate" -v want="$4" 'BEGIN { exit !(rate >= want * 0.9 && rate <= want * 1.1) }' && return
		echo "try $try: measured $rate Mbit/s, expected $4"
	done
	fail "the rate from $2 to $3 is wrong"
}

# shaped_as WORD: what h1 sends through has WORD in it
shaped_as() {
	lab exec h1 tc qdisc show dev eth0 | grep -q "$1"
}

assert_nothing_left() {
	assert_equal "$(ip netns list | grep "^$1\." || true)" ''
	assert_equal "$(grep -lasF "$LAB_DIR/$1/" /proc/[0-9]*/cmdline || true)" ''
	assert [ ! -e "$LAB_DIR/$1" ]
}

@test "every topology that comes with the lab can be read, and comes up" {
	for file in "$BATS_TEST_DIRNAME"/lab/topologies/*.yaml; do
		lab up "$(basename "$file" .yaml)"
		lab down
	done
}

@test "ssh reaches each host with strict known_hosts, and each is a machine of its own" {
	lab up four
	for host in h1 h2 h3 h4; do
		run lab_ssh four $host "hostname; echo \$HOME; pwd; echo $host >only-here; ls; ls -A /tmp; ps -A -o comm= | head -1"
		assert_success
		assert_output "$(printf '%s\n' $host /root /root only-here sshd)"
		assert_equal "$(cat "$LAB_DIR/four/hosts/$host/home/only-here")" $host
	done
	run cat "$LAB_DIR"/four/hosts/*/ssh/ssh_host_ed25519_key.pub
	assert_equal "$(sort -u <<<"$output" | wc -l)" 4
	run lab list
	assert_output "$(printf 'four\t4 hosts')"
}

@test "a host key that is not the known one is refused" {
	lab up pair
	sed -i 's/^10.77.0.1,h1/x/; s/^10.77.0.2,h2/10.77.0.1/' "$LAB_DIR/pair/known_hosts"
	run lab_ssh pair h1 true
	assert_failure 255
	assert_output --partial 'Host key verification failed'
}

@test "the RSA key is let in as well" {
	lab up pair
	lab_ssh pair -i "$LAB_DIR/pair/id_rsa" -o IdentityFile=none h1 true
}

@test "the hosts file names every host, its address and its slots" {
	printf 'hosts: 2\noverrides:\n  h2: {slots: 3}\n' >mine.yaml
	lab up mine.yaml
	run cat "$LAB_DIR/mine/hosts.yaml"
	assert_output "network: 10.77.0.0/16
user: root
identity: $LAB_DIR/mine/id_ed25519
known_hosts: $LAB_DIR/mine/known_hosts
hosts:
  h1: {address: 10.77.0.1}
  h2: {address: 10.77.0.2, slots: 3}"
}

@test "home_files make a shell that talks" {
	printf 'hosts: 2\noverrides:\n  h1: {home_files: {.bashrc: echo hello, .config/a/b: text}}\n' >mine.yaml
	lab up mine.yaml
	run lab_ssh mine h1 cat .config/a/b
	assert_output $'hello\ntext'
}

@test "exec runs inside a host and passes its exit status on" {
	lab up pair
	run lab exec h2 sh -c 'hostname; echo $HOME; pwd; exit 7'
	assert_failure 7
	assert_output $'h2\n/root\n/root'
	run lab exec h3 true
	assert_failure 1
	assert_output "lab: no host 'h3' in lab 'pair'"
}

@test "run execs, so that signals and the exit status are the command's own" {
	lab up pair
	run lab run -- sh -c 'exit 9'
	assert_failure 9
	WORD=kept run lab run -- sh -c 'echo $WORD -- "$@"' sh --name -- x
	assert_output 'kept -- --name -- x'
	lab run -- sleep 60 3>&- &
	until_true grep -q sleep /proc/$!/comm
	kill -TERM $!
	assert_ends $! 143
}

@test "links carry their rates, also when a rate is changed" {
	printf 'nic: 100mbit\nhosts: 2\n' >mine.yaml
	lab up mine.yaml
	assert_rate mine h1 h2 100
	lab rate h1 none
	lab rate h2.up 50mbit
	assert_rate mine h1 h2 100
	assert_rate mine h2 h1 50
}

@test "an uplink is slower than the way inside a rack" {
	lab up two-racks
	assert_rate two-racks h1 h3 200
	lab rate r2.down 50mbit
	assert_rate two-racks h1 h3 50
	assert_rate two-racks h3 h1 200
}

@test "play changes links as the file says, over and over, until it is killed" {
	printf '%s\n' 'nic: 100mbit' 'hosts: 2' 'delay: 0.2ms' 'repeat: 0.4s' \
		'changes: [{at: 0, link: h1.up, rate: 50mbit}, {at: 200ms, link: h1, rate: none}]' >mine.yaml
	run lab up mine.yaml
	assert_output 'lab: mine.yaml: the delays are left out: nothing here can shape them'
	lab play 3>&- &
	for word in 50Mbit noqueue 50Mbit noqueue; do
		until_true shaped_as $word
	done
	kill $!
	assert_ends $! 143
	lab down
	lab up pair
	run lab play
	assert_failure 1
	assert_output "lab: the topology of lab 'pair' has no changes"
}

@test "a pulled cable cuts a host off until it is plugged in again" {
	lab up pair
	lab link h1 down
	run lab_ssh pair -o ConnectTimeout=1 h1 true
	assert_failure 255
	lab_ssh pair h2 true
	lab link h1 up
	until_true lab_ssh pair -o ConnectTimeout=1 h1 true
}

@test "two labs at once do not meet" {
	lab up pair
	lab up --name pair-2 pair
	run lab exec h1 true
	assert_failure 1
	assert_output 'lab: several labs are up (pair, pair-2); choose with --name'
	lab_ssh pair h1 'echo one >mine'
	lab_ssh pair-2 h1 'test ! -e mine'
	lab down pair
	assert_nothing_left pair
	LAB_NAME=pair-2 lab exec h1 true
	lab_ssh pair-2 h2 true
}

@test "down leaves no namespace, no process and no file, whatever still runs" {
	lab up pair
	lab_ssh pair h1 'setsid sh -c "trap : TERM HUP; while :; do sleep 1; done" </dev/null >/dev/null 2>&1 &'
	lab exec h2 sleep 1234 3>&- &
	local inside=$!
	lab run -- sleep 1234 3>&- &
	local ctl=$!
	until_true grep -q sleep /proc/$ctl/comm
	until_true lab exec h2 sh -c 'ps -A -o args= | grep -qx "sleep 1234"'
	lab down pair
	assert_ends $ctl 137
	assert_ends $inside 137
	assert_nothing_left pair
}

@test "down never kills a process that took over a recorded pid" {
	lab up pair
	sleep 60 3>&- &
	echo "$! 1" >"$LAB_DIR/pair/hosts/h1/pid"
	lab down
	assert_nothing_left pair
	kill $!
}

@test "up on a lab that is up says how to take it down" {
	lab up pair
	run lab up pair
	assert_failure 1
	assert_output "lab: lab 'pair' is already up; take it down with: lab down pair"
	lab_ssh pair h1 true
	lab down
	run lab down
	assert_failure 1
	assert_output 'lab: no lab is up'
}

@test "an up that fails half-way cleans up after itself" {
	# The second host cannot be made, when the first already runs.
	printf 'hosts: 2\noverrides:\n  h2: {home_files: {.ssh/authorized_keys/x: ""}}\n' >half.yaml
	run lab up half.yaml
	assert_failure 1
	assert_output --partial 'authorized_keys'
	assert_nothing_left half

	mkdir bin
	printf '#!/bin/sh\necho "no such qdisc" >&2\nexit 2\n' >bin/tc
	chmod +x bin/tc
	PATH="$PWD/bin:$PATH" run lab up slow-nic
	assert_failure 1
	assert_output --regexp '^lab: tc .*: no such qdisc$'
	assert_nothing_left slow-nic
}

@test "an interrupted up cleans up after itself" {
	mkdir bin
	# Some may begin after the signal: they do not hear of it.
	printf '#!/bin/sh\ncd "%s"; touch blocked; until [ -e go ]; do sleep 0.1; done\n' "$PWD" >bin/ssh-keygen
	chmod +x bin/ssh-keygen
	for signal in INT:130 TERM:143; do
		rm -f blocked go
		PATH="$PWD/bin:$PATH" env --default-signal=INT setsid lab up pair 3>&- &
		until_true test -e blocked
		kill "-${signal%:*}" -- -$!
		touch go
		assert_ends $! "${signal#*:}"
		assert_nothing_left pair
	done
}

@test "a bad topology file is named, with what is wrong" {
	expect() {
		printf '%b' "$1" >bad.yaml
		run lab up bad.yaml
		assert_failure 1
		assert_output "lab: bad.yaml: $2"
	}
	expect 'rakcs: {}' "unknown key 'rakcs'; did you mean 'racks'?"
	expect 'hosts: 2\nnic: fast' "'fast' is not a rate such as 100mbit, 1gbit or none"
	expect 'hosts: 2\noverrides: {h9: {nic: 1gbit}}' 'overrides: h9: no such host or rack'
	expect 'hosts: 2\noverrides: {h1: {uplink: 1gbit}}' "overrides: h1: unknown key 'uplink'"
	expect 'hosts: 2\noverrides: {h1: {home_files: {../x: y}}}' "overrides: h1: home_files: '../x' is not a path below the home"
	expect 'racks:\n  r1: h[1-2]\n  r2: h[2-3]' "the name 'h2' is taken"
	expect 'hosts: 2\ndelay: soon' "'soon' is not a time such as 0.2ms or 2s"
	expect 'hosts: 2\nchanges: [{at: 1s, link: h1}]' 'changes: a change is {at: TIME, link: NAME, rate: RATE}'
	expect 'hosts: 1\nchanges: [{at: 1s, link: h2, rate: none}]' "no link 'h2'; links are ctl, h1, with .up or .down for one direction"
	expect 'hosts: [Big_Box]' "'Big_Box' is not a name (a-z, 0-9 and -, at most 10 characters)"
	expect 'nic: 1gbit' '0 hosts; a lab has 1 to 250'
	expect 'network: 10.0.0.0/24\nhosts: 2' "network '10.0.0.0/24' is not a /16"
	expect 'hosts: 2\n  nic: 1gbit' 'line 2: mapping values are not allowed here'
	expect '' "'None' is not a mapping with the keys network, nic, uplink, delay, hosts, racks, overrides, changes, repeat"
	run lab up missing.yaml
	assert_output 'lab: missing.yaml: No such file or directory'
	run lab frobnicate
	assert_failure 2
	assert_equal "$(ip netns list | grep '^bad\.' || true)" ''
}
