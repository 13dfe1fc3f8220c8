#!/usr/bin/env bats
# Networks that are acted out on this machine: --emulate and transport.emulate.
# shellcheck disable=SC2031,SC2154 # every test is a shell of its own

load dstrain

# seconds FILE SIZE: an allreduce over it takes
seconds() {
	./dstrain bench allreduce --emulate "$1" --begin "$2" --end "$2" --iters 3 --json |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["rows"][0]["time_us"] / 1e6)'
}

is() { # EXPRESSION, of awk
	awk "BEGIN { exit !($1) }" || fail "not true: $1"
}

@test "an allreduce takes as long as the slowest link needs" {
	printf 'nic: 50mbit\nhosts: 4\n' >even.yaml
	printf 'nic: 50mbit\nhosts: 4\noverrides: {h3: {nic: 10mbit}}\n' >uneven.yaml
	# 2 * 3/4 * 128 KiB over 50 Mbit/s, of which 1448/1514 are payload: 33 ms; a busy machine adds.
	even=$(seconds even.yaml 128K)
	is "$even > 0.032 && $even < 3"
	uneven=$(seconds uneven.yaml 128K)
	is "$uneven > 0.164 && $uneven < 15"
}

@test "a recipe trains on it as it would elsewhere, and so does its run directory" {
	printf 'nic: 100mbit\ndelay: 0.2ms\nhosts: 3\n' >net.yaml
	train --run-dir a --emulate net.yaml --set train.steps=25
	train --run-dir b --hosts local:3 --set train.steps=25
	assert_same_training a b
	run grep -c '' a/hosts.yaml
	grep -q "emulate: $PWD/net.yaml" a/recipe.yaml
	rm -r b
	train --run-dir b --emulate net.yaml --set train.steps=10
	./dstrain resume b --set train.steps=25
	assert_equal "$(digests a)" "$(digests b)"
}

@test "links change while a run goes on" {
	printf '%s\n' 'nic: 100mbit' 'hosts: 2' 'repeat: 60s' \
		'changes: [{at: 0, link: h1, rate: 1mbit}]' >slow.yaml
	printf 'nic: 100mbit\nhosts: 2\n' >fast.yaml
	slow=$(seconds slow.yaml 32K)
	is "$slow > 0.25" # 32 KiB over 1 Mbit/s
}

@test "the ranks are those of the file, slots and all, unless --hosts says fewer" {
	printf 'hosts: 2\noverrides: {h2: {slots: 3}}\n' >net.yaml
	run ./dstrain bench allreduce --emulate net.yaml --end 4K --iters 1 --json
	assert_success
	assert_line --partial '"world": 4'
	run ./dstrain bench allreduce --emulate net.yaml --hosts local:3 --end 4K --iters 1 --json
	assert_line --partial '"world": 3'
	run ./dstrain bench allreduce --emulate net.yaml --hosts local:5
	assert_failure 2
	assert_output --partial "net.yaml' has room for 4 ranks, not for 5"
	run ./dstrain check recipe.yaml --emulate net.yaml --hosts local:5
	assert_failure 2
	assert_output --partial "has room for 4 ranks, not for 5"
}

@test "tables of clouds are networks, too" {
	printf 'x,a,b\na,,0.02\nb,0.04,\n' >rates.csv
	printf 'x,b,a,c\na,20,,1\nb,,20,1\n' >rtt.csv
	run seconds rates.csv 64K
	assert_success
	is "$output > 0.015"
	run ./dstrain bench allreduce --emulate rates.csv --set transport.emulate_rtt=rtt.csv --begin 4K --end 4K \
		--iters 1 --json
	assert_success
	is "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["rows"][0]["time_us"])' <<<"$output") > 10000"
}

@test "every network that comes with dstrain is good" {
	for file in "$BATS_TEST_DIRNAME"/../recipes/networks/*; do
		run ./dstrain check recipe.yaml --emulate "$file"
		assert_success
	done
}

@test "what is wrong is said before anything starts" {
	printf 'hosts: 2\nnic: fast\n' >bad.yaml
	run ./dstrain check recipe.yaml --emulate bad.yaml
	assert_failure 2
	assert_output --partial "bad.yaml:2:6: 'fast' is not a rate such as 100mbit, 1gbit or none"
	run ./dstrain run recipe.yaml --emulate missing.yaml
	assert_failure 2
	assert_output --partial "missing.yaml"
	printf 'hosts: 2\n' >net.yaml
	run ./dstrain check recipe.yaml --set transport.emulate=net.yaml
	assert_failure 2
	assert_output --partial "use transport.name: inproc"
	run ./dstrain check recipe.yaml --set transport=inproc --set transport.emulate_rtt=net.yaml
	assert_failure 2
	assert_output --partial "there is no transport.emulate that it goes with"
	run ./dstrain check recipe.yaml --set transport.encrypt=no --emulate net.yaml
	assert_success
}

@test "a stop and a kill end an emulated run at any time" {
	printf 'nic: 1mbit\ndelay: 5ms\nhosts: 4\n' >net.yaml
	begin 3 --emulate net.yaml --set train.steps=1000000
	kill -INT "$orchestrator"
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 130
	./dstrain run recipe.yaml --run-dir other --emulate net.yaml --set train.steps=1000000 3>&- >out 2>said &
	orchestrator=$!
	wait_for 60 has_steps other 3
	kill -9 "$(workers)"
	status=0
	wait "$orchestrator" || status=$?
	assert_equal "$status" 3
}

@test "a plan is made for it, and a probe finds what it is made of" {
	printf 'nic: 50mbit\ndelay: 0.1ms\nhosts: 4\noverrides: {h2: {nic: {up: 10mbit}}}\n' >net.yaml
	train --emulate net.yaml --set train.steps=5 --set train.eval_every=0 --set sync.strategy=auto
	grep -q '"h2.up"' run/links.json
	grep -q '"candidates"' run/plan.json
	run ./dstrain resume run --set train.steps=8
	assert_success
	run ./dstrain probe --emulate net.yaml --pairs-only --seconds 2 --json
	assert_success
	assert_line --regexp '"hosts": \["h1",? *"h2",? *"h3",? *"h4"\]'
}

@test "ranks that stay as they are numbered have a plan, too, or a note; who asks for an order has to get one" {
	printf 'nic: 50mbit\nuplink: 20mbit\nracks: {r1: [h1, h3], r2: [h2, h4]}\n' >net.yaml
	planned() { # [FLAGS]
		rm -rf run
		train --emulate net.yaml --links net.yaml --set train.steps=4 --set train.eval_every=0 "$@"
	}
	run planned --set sync.allreduce=halving_doubling --hosts local:4
	assert_success
	assert_line --regexp 'plan: halving_doubling, given order, predicted .* s per step'
	run planned --set sync.allreduce=flat
	assert_success
	assert_line --partial "plan: none is for sync.strategy 'bsp' with sync.allreduce 'flat'; ranks stay as they"
	run ./dstrain resume run --set train.steps=6
	assert_success
	assert_line --partial "plan: none, as before"
	run planned --set sync.allreduce=flat --set sync.order=planned
	assert_failure 2
	assert_output --partial "no plan is for sync.strategy 'bsp' with sync.allreduce 'flat'; set sync.order=given"
	printf 'nic: 50mbit\nhosts: 2\n' >net.yaml
	run planned --set sync.strategy=ds_sync # of two ranks
	assert_success
}
