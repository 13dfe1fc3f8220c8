#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154 # expanded on the hosts; stderr comes from `run`
# A host's disk that is full: it is said which, where and by how much, and no half of a file is used.

load lab

setup_file() {
	lab_up pair
}

teardown() {
	lab exec h2 sh -c 'umount /root/.cache 2>/dev/null; rm -rf /root/.cache'
}

room_on_h2() { # SIZE: of its cache
	lab exec h2 sh -c "mkdir -p /root/.cache; mount -t tmpfs -o size=$1 none /root/.cache"
}

files_on_h2() {
	lab exec h2 sh -c 'cd /root/.cache && find . -type f'
}

train() {
	run --separate-stderr user run recipe.yaml --hosts hosts.yaml --run-dir "$1" --quiet
}

assert_full() { # PLACE BYTES
	assert_failure 1
	assert_equal "$(grep -c 'error:' <<<"$stderr")" 1
	run grep error: <<<"$stderr"
	assert_output --regexp "h2: cat: .*No space left on device; it needs $2 bytes, and [0-9]+ are free there; make room there, or set XDG_CACHE_HOME \(writing '/root/.cache/dstrain/$1[^']*': exit status 1\)"
	[[ $output =~ and\ ([0-9]+)\ are\ free ]]
	[ "${BASH_REMATCH[1]}" -lt "$2" ]
}

@test "no room for the program" {
	room_on_h2 1m
	train run
	assert_full bin/ "$(stat -c %s "$DSTRAIN")"
	assert_equal "$(files_on_h2)" ''
	lab exec h2 mount -o remount,size=64m /root/.cache
	train again
	assert_success
}

@test "no room for the data: the program stays, and with room the run goes through" {
	awk 'BEGIN { srand(7); for (i = 0; i < 60000; i++) printf "%.9f,%.9f,%.9f,%d\n", rand(), rand(), rand(), i % 2 }' >samples.csv
	sed -i "s#^data:.*#data: {format: csv, train: $PWD/samples.csv, test: $PWD/samples.csv}#" recipe.yaml
	echo 'train: {steps: 5, batch: 64}' | sed -i '/^train:/d; $r /dev/stdin' recipe.yaml
	room_on_h2 $(($(stat -c %s "$DSTRAIN") / 1024 + 1024))k
	train run
	assert_full data/ "$(stat -c %s samples.csv)"
	assert_equal "$(files_on_h2 | cut -d / -f 3)" bin
	lab exec h2 mount -o remount,size=64m /root/.cache
	train again
	assert_success
}
