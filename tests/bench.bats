#!/usr/bin/env bats
# dstrain bench: what it prints, what it refuses, and that it leaves nothing behind.
# shellcheck disable=SC2030,SC2031 # every test is a shell of its own

bats_require_minimum_version 1.5.0

load dstrain

teardown() {
	[ ! -d lab/pair ] || LAB_DIR=$PWD/lab "$BATS_TEST_DIRNAME/lab/lab" down pair
	wait_for 8 nothing_runs
}

# Whether the table in `out` is that of a collective on so many ranks, with these sizes.
check_table() { # COLLECTIVE RANKS SIZE...
	python3 - "$@" <<-'END'
		import sys
		name, n, sizes = sys.argv[1], int(sys.argv[2]), [int(s) for s in sys.argv[3:]]
		lines = open("out").read().splitlines()
		assert name in lines[0] and f"{n} ranks" in lines[0], lines[0]
		heads = "size count type redop time algbw busbw #wrong".split()
		assert lines[1].lstrip("#").split() == heads, lines[1]
		rows = [line.split() for line in lines if not line.startswith("#")]
		sliced = name in ("reduce_scatter", "allgather")
		assert len(rows) == len(sizes), rows
		for size, row in zip(sizes, rows):
		    if sliced:
		        size -= size % (16 * n)
		    assert int(row[0]) == size and int(row[1]) == size // 4 // (n if sliced else 1), row
		    added = name in ("allreduce", "reduce_scatter")
		    assert row[2:4] == ["float", "sum" if added else "none"], row
		    time, algbw, busbw = map(float, row[4:7])
		    factor = 2 * (n - 1) / n if name == "allreduce" else (n - 1) / n if sliced else 1
		    assert abs(algbw - size / time * 1e-3) <= 6e-4 + algbw * 0.1, row
		    assert abs(busbw - algbw * factor) <= 2e-3, row
		    assert row[7] == "0", row
	END
}

@test "every collective, on two and on three ranks, and nothing is wrong" {
	for name in allreduce reduce_scatter allgather broadcast sendrecv; do
		for n in 2 3; do
			./dstrain bench $name --hosts local:$n -b 1K -e 64K -f 8 -n 3 >out
			check_table $name $n 1024 8192 65536
		done
	done
}

@test "the transport and the algorithm are those that were asked for" {
	for set in transport.encrypt=no transport=inproc sync.allreduce=tree; do
		run -0 ./dstrain bench allreduce -H local:4 -e 16K -n 3 --set $set
		assert_line --index 0 --partial "$([[ $set = *=tree ]] && echo algorithm tree || echo 4 ranks)"
		[[ $set != *inproc ]] || assert_line --index 0 --partial "transport inproc"
	done
}

@test "--json is one object with all rows and how they came about" {
	./dstrain bench allreduce -H local:2 -b 4K -e 16K -n 4 --json --set transport.encrypt=no \
		--set sync.allreduce=ring >out
	python3 - <<-'END'
		import json
		result = json.load(open("out"))
		assert result["collective"] == "allreduce" and result["exit_status"] == 0
		assert result["world"] == 2 and result["hosts"] == 1
		assert result["transport"] == "tcp" and result["algorithm"] == "ring"
		assert result["settings"]["transport.encrypt"] == "no"
		assert result["version"]
		assert [row["size"] for row in result["rows"]] == [4096, 8192, 16384]
		for row in result["rows"]:
		    assert row["wrong"] == 0 and row["iterations"] == 4 and row["count"] * 4 == row["size"]
		    assert abs(row["algbw_gb_s"] - row["size"] / row["time_us"] * 1e-3) < 1e-9
		    assert row["busbw_gb_s"] == row["algbw_gb_s"] # two ranks
	END
}

@test "how many iterations is chosen by how long one takes" {
	./dstrain bench allreduce -H local:2 -b 4K -e 16M -f 64 --json >out
	python3 -c 'import json
small, _, large = [row["iterations"] for row in json.load(open("out"))["rows"]]
assert 5 <= large <= small <= 10000 and small > 20, (small, large)'
}

@test "no run directory is left" {
	./dstrain bench broadcast -e 4K -n 2 >out
	run find . -newer dstrain -type d -mindepth 1
	assert_output ""
}

refuses() { # TEXT FLAGS...
	local text=$1

	shift
	run -2 ./dstrain bench "$@"
	assert_output --partial "$text"
}

@test "what cannot be measured is refused with exit status 2" {
	refuses "needs COLLECTIVE"
	refuses "no collective 'alreduce'; did you mean 'allreduce'?" alreduce
	refuses "'--begin': 8388608 bytes are more than the 4096 of '--end'" allreduce -b 8M -e 4K
	refuses "--begin: '2' is out of range: 4 to 8589934592" allreduce -b 2
	refuses "--begin: '4Q' is not a size such as 4096 or 64MiB" allreduce -b 4Q
	refuses "--end: '9G' is out of range" allreduce -e 9G
	refuses "--factor: '1' is out of range" allreduce -f 1
	refuses "16 bytes are too few for allgather over 3 ranks; 48 are not" allgather -b 16 -H local:3
	refuses "'train.batch=3' makes no difference to a bench" allreduce --set train.batch=3
	refuses "unknown key 'transport.encript'; did you mean 'encrypt'?" allreduce --set transport.encript=no
	refuses "one rank has nobody to talk to; use --hosts local:2" allreduce -H local:1
	refuses "cannot open 'nowhere.yaml'" allreduce -H nowhere.yaml
}

@test "a worker that is killed ends the bench with status 3, and it is said who" {
	local status=0

	./dstrain bench allreduce -H local:3 -b 4K -e 256M -f 2 -n 20 >out 2>said 3>&- &
	bench=$!
	wait_for 60 grep -q '^ *4096 ' out
	kill -9 "$(workers | sort -n | sed -n 2p)"
	wait $bench || status=$?
	cat said
	assert_equal $status 3
	grep -q "error: rank 1 on 'local' was killed by SIGKILL" said
	wait_for 8 nothing_runs
}

@test "an interrupt ends it at once, and no worker stays" {
	local status=0 from

	./dstrain bench allreduce -H local:3 -b 4K -e 256M -n 100 >out 2>said 3>&- &
	bench=$!
	wait_for 60 grep -q '^ *4096 ' out
	from=$EPOCHREALTIME
	kill -TERM $bench
	wait $bench || status=$?
	assert_equal $status 143
	[ "$(seconds_since "$from")" -lt 20 ]
	nothing_runs
}

@test "two hosts over SSH" {
	local status=0

	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	export LAB_DIR=$PWD/lab LAB_NAME=pair PATH="$BATS_TEST_DIRNAME/lab:$PATH"
	lab up pair >/dev/null
	lab run -- "$PWD/dstrain" bench allreduce -H "$LAB_DIR/pair/hosts.yaml" -b 4K -e 64K -f 16 -n 3 >out
	check_table allreduce 2 4096 65536
	grep -q "2 hosts" out
	lab run -- "$PWD/dstrain" bench sendrecv -H "$LAB_DIR/pair/hosts.yaml" -e 4K -n 3 --json |
		python3 -c 'import json, sys; assert json.load(sys.stdin)["hosts"] == 2'

	# a lost host; what was said of the last run must not be taken for this one's
	rm out
	(exec lab run -- "$PWD/dstrain" bench allreduce -H "$LAB_DIR/pair/hosts.yaml" -n 1000 >out 2>said 3>&-) &
	bench=$!
	wait_for 60 grep -q '^ *4096 ' out || { cat said; return 1; }
	# shellcheck disable=SC2016 # expanded there
	lab exec h2 sh -c 'for p in /proc/[0-9]*; do
		case $(readlink $p/exe) in */dstrain/bin/*) kill -9 ${p#/proc/};; esac
	done'
	wait $bench || status=$?
	cat said
	assert_equal $status 3
	grep -q "error: rank 1 on 'h2' was killed by SIGKILL" said
	lab down pair
}
