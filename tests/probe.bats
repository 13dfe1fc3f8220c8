#!/usr/bin/env bats
# bats file_tags=long
# dstrain probe: what it measures and prints, what it refuses, and that it leaves nothing behind.

bats_require_minimum_version 1.5.0

load dstrain

teardown() {
	[ ! -d labs/racks ] || LAB_DIR=$PWD/labs lab down racks
	wait_for 8 nothing_runs
}

# json FILE EXPRESSION: of what is in it, as d; mbit(a, b) is the rate of a pair.
json() {
	python3 - "$@" <<-'END'
		import json, sys
		d = json.load(open(sys.argv[1]))
		def mbit(a, b):
		    rate = d["bytes_per_s"][d["hosts"].index(a)][d["hosts"].index(b)]
		    return rate and rate * 8e-6
		assert eval(sys.argv[2]), (sys.argv[2], d)
	END
}

@test "the slots of one host are measured: a row for each ordered pair, a map, and what it took" {
	run -0 ./dstrain probe -H local:3 --seconds 1 --quiet --pairs-only
	assert_line --index 0 --regexp '^from +to +rtt ms +Mbit/s +\+-%$'
	for pair in '0 +local/1' '0 +local/2' '1 +local/0' '1 +local/2' '2 +local/0' '2 +local/1'; do
		assert_line --regexp "^local/$pair +[0-9.]+ +[0-9.]+ +[0-9.-]+$"
	done
	assert_line --regexp '^  2 local/1 (.)\1\1\\\\\\(.)\2\2$'
	assert_line --partial 'rows send, columns receive'
	assert_output --regexp '[0-9]+ flows in [0-9]+ steps, [0-9.]+ s, [0-9.]+ [KMG]iB$'
	refute_output --partial $'\033'
	[ -z "$(find . -newer dstrain -mindepth 1 -type d)" ]
}

@test "other transports are measured, too, and colours are there on request" {
	run -0 ./dstrain probe -H local:2 --seconds 1 --quiet --set transport.shared_memory=no --color always
	assert_output --partial $'\033[48;5;'
	run -0 ./dstrain probe -H local:2 --seconds 1 --quiet --set transport=inproc --color never
	refute_output --partial $'\033'
}

@test "--json is a links file with what it took, and --save writes one that loads again" {
	./dstrain probe -H local:2 --seconds 1 --json --save saved.json >out 2>said
	json out 'd["hosts"] == ["local/0", "local/1"] and d["exit_status"] == 0 and d["version"]'
	json out 'd["spent"]["steps"] > 1 and d["spent"]["flows"] > 2 and d["spent"]["bytes"] > 1e5'
	json out 'mbit("local/0", "local/1") > 0 and d["bytes_per_s"][0][0] is None'
	json out '0 < d["rtt_min_s"][0][1] <= d["rtt_s"][0][1] < 1 and not "incomplete" in d'
	json saved.json 'd["hosts"] == ["local/0", "local/1"] and mbit("local/1", "local/0") > 0'
	./dstrain probe -H local:2 --seconds 1 --pairs-only --json --against saved.json >out 2>said
	json out 'isinstance(d["changes"], list)'
}

@test "an emulated network is found as it is: two racks, and the way between them" {
	cat >racks.yaml <<-'END'
		nic: 80mbit
		uplink: 16mbit
		racks: {r1: 2, r2: 2}
	END
	./dstrain probe -H local:4 --emulate racks.yaml --quiet --json >out
	json out 'd["bytes_per_s"][0][1] > 2 * d["bytes_per_s"][0][2]'
	json out '[s for s in d["segments"] if s["bytes_per_s"] * 8e-6 < 30 and len(s["from"]) == 2]'
}

@test "a dry run says what it would take, and starts nothing" {
	run -0 ./dstrain probe -H nowhere1,nowhere2,nowhere3 --dry-run
	assert_output --regexp '^3 hosts: [0-9]+ flows in [0-9]+ steps, about [0-9.]+s; [0-9.]+ [KMG]iB if links carry 1 Gbit/s$'
	./dstrain probe -H nowhere1,nowhere2 --dry-run --json >out
	json out 'd["hosts"] == 2 and d["steps"] > 1 and d["flows"] > 2 and d["seconds"] > 0 and d["bytes"] > 0'
}

refuses() { # TEXT FLAGS...
	local text=$1

	shift
	run -2 ./dstrain probe "$@"
	assert_output --partial "$text"
}

@test "what cannot be measured is refused with exit status 2" {
	refuses 'which hosts?'
	refuses 'one host has no links; name more, or use --hosts local:2' -H local:1
	refuses "'train.batch=3' makes no difference to a probe" -H local:2 --set train.batch=3
	refuses "'--save' makes no sense with '--ssh-only'" -H local:2 --ssh-only --save x
	refuses "'--against' makes no sense with '--dry-run'" -H local:2 --dry-run --against x
	refuses 'nowhere.json' -H local:2 --against nowhere.json
	refuses "cannot open 'nowhere.yaml'" -H nowhere.yaml
	refuses "unexpected 'word'" -H local:2 word
	echo '{"hosts": ["a", "b"], "bytes_per_s": [[null, 1], [1, null]]}' >old.json
	refuses 'old.json: ' -H local:2 --against old.json
}

@test "--ssh-only says who is reached, as hosts check does" {
	./dstrain probe -H local:2 --ssh-only >out
	./dstrain hosts check -H local:2 >checked
	diff <(cut -d : -f 1 out) <(cut -d : -f 1 checked)
}

begin_probe() { # FLAGS...
	./dstrain probe -H local:3 "$@" >out 2>said 3>&- &
	probe=$!
	wait_for 60 grep -q 'so far' said || { cat said; return 1; }
}

@test "a worker that is killed ends it with status 3, who it was, and what was known by then" {
	local status=0

	begin_probe --set transport.shared_memory=no --save part.json --json
	kill -9 "$(workers | sort -n | sed -n 2p)"
	wait "$probe" || status=$?
	cat said
	assert_equal $status 3
	grep -q "error: rank 1 on 'local' was killed by SIGKILL" said
	grep -q "'part.json' has only what was measured until then" said
	json out 'd["exit_status"] == 3 and "killed" in d["incomplete"]'
	json part.json '"killed" in d["incomplete"] and len(d["hosts"]) == 3'
}

@test "an interrupt ends it at once, and nothing is left" {
	local status=0 from

	begin_probe --save part.json
	from=$EPOCHREALTIME
	kill -INT "$probe"
	wait "$probe" || status=$?
	assert_equal $status 130
	[ "$(seconds_since "$from")" -lt 20 ]
	nothing_runs
	[ ! -e part.json ] && [ ! -s out ]
}

@test "hosts over SSH: shaped links, and what has changed when one is changed" {
	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	export LAB_DIR=$PWD/labs LAB_NAME=racks PATH="$BATS_TEST_DIRNAME/lab:$PATH"
	cat >racks.yaml <<-'END'
		nic: 50mbit
		uplink: 10mbit
		racks: {r1: "h[1-2]", r2: "h[3-4]"}
	END
	lab up racks.yaml >/dev/null
	user=(lab run -- "$PWD/dstrain" probe -H "$LAB_DIR/racks/hosts.yaml" --quiet)
	apart='min(mbit("h1", "h2"), mbit("h4", "h3")) > 2 * max(mbit("h1", "h3"), mbit("h4", "h2"))'
	shared='("h1", "h2") in {tuple(s["from"]) for s in d["segments"]}'
	for _ in 1 2 3; do # a busy machine may hold up a flow, and hide what flows share
		"${user[@]}" --save before.json >out
		! json before.json "$apart and $shared" || break
	done
	json before.json "$apart"
	json before.json '3 < mbit("h1", "h3") < 14'
	json before.json "$shared"
	lab rate r1.up 2mbit
	"${user[@]}" --pairs-only --against before.json --json >out
	json out 'any(c.get("from") == "h1" and c.get("to") == "h3" and c["after"] < c["before"] / 2 for c in d["changes"])'
	json out 'min(mbit("h1", "h2"), mbit("h4", "h3")) > 4 * max(mbit("h1", "h3"), mbit("h2", "h4"))'
}
