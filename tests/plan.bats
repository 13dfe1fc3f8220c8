#!/usr/bin/env bats
# dstrain plan: what it chooses on made-up and on measured networks, how it says so, what it refuses.

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	root=$(realpath "$BATS_TEST_DIRNAME/..")
	DSTRAIN=$(realpath "${DSTRAIN:-$root/dstrain}")
	cd "$BATS_TEST_TMPDIR" || return
	topologies=$root/tests/lab/topologies
	wan=$root/../shared/data/wan
	cat >racks.yaml <<-'END'
		nic: 1gbit
		uplink: 200mbit
		racks:
		  a: h[1-2]
		  b: h[3-4]
	END
}

plan() { # [FLAGS]
	"$DSTRAIN" plan --search 0 "$@"
}

# What a Python expression makes of the JSON on standard input, as `it`.
json() {
	python3 -c 'import json, sys
it = json.load(sys.stdin)
got = eval(sys.argv[1])
print(*got) if isinstance(got, list) else print(got)' "$1"
}

# Exit status 2 and this on standard error, nothing on the other.
refused() { # TEXT FLAGS...
	local text=$1

	shift
	run --separate-stderr plan "$@"
	assert_equal "$status" 2
	assert_equal "$output" ""
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *"$text"* ]] || fail "'$stderr' lacks '$text'"
}

@test "the table shows the choice first, its groups by name, and what holds each back" {
	run plan --links racks.yaml --bytes 1MiB --compute 2ms
	assert_success
	assert_line --index 0 "4 ranks on 4 hosts, 1.0 MiB of parameters, computing 2 ms a step"
	assert_line --index 1 --regexp "^plan +ms/step +comm +sent +exact after +held back by$"
	assert_line --index 2 --regexp "^ds_sync 2x2 \(7 near, 1 of all\), rack-major .* crossed by 1 flow$"
	assert_line --regexp "^ring, given order .* 1  a.up, 191 Mbit/s, crossed by 1 flow$"
	assert_line --regexp "^chosen: ds_sync 2x2 .* times as fast as a ring in the given order$"
	assert_line "steps 1 2 3 4 5 6 7: h1 h2 | h3 h4"
	assert_line "step 8: h1 h2 h3 h4"
	refute_output --partial "note:"
}

@test "an order that crosses the uplink twice is mended" {
	plan --links racks.yaml -H h1,h3,h2,h4 --bytes 16MiB --period 1 --json >out
	run json '{c["exact_after"] for c in it["candidates"]}' <out
	assert_output "{1}"
	run json '[p["name"] for p in it["candidates"] if p["kind"] == "ring"][0]' <out
	assert_output "ring, rack-major"
	run json '[round(a["step_s"] / b["step_s"], 1) for a in it["candidates"] for b in it["candidates"]
		if a["name"] == "ring, given order" and b["name"] == "ring, rack-major"]' <out
	assert_output 2.0
}

@test "JSON has all of it, and schedules that cover every rank once" {
	plan --links "$topologies/sixteen.yaml" --json >out
	run json 'sorted(it)' <out
	assert_output "bytes candidates chosen compute_s consensus_period gain note ranks world"
	run json '[sorted(r for g in p for r in g) == list(range(16))
		for c in it["candidates"] for p in c["schedule"]].count(False)' <out
	assert_output 0
	run json 'it["chosen"] == it["candidates"][0]' <out
	assert_output True
	run json 'it["chosen"]["step_s"] <= min(c["step_s"] for c in it["candidates"]) * 1.05' <out
	assert_output True
	run json 'it["gain"] >= 1' <out
	assert_output True
}

@test "a recipe tells the bytes, and whether momentum is averaged, too" {
	cat >recipe.yaml <<-'END'
		data: {format: synthetic, samples: 100, features: 9, classes: 10}
		model: {preset: softmax}
		train: {batch: 8}
		sync: {strategy: ds_sync, momentum: no}
	END
	run json '[it["bytes"], 0 < it["compute_s"] < 1]' < <(plan recipe.yaml --links racks.yaml --json)
	assert_output "400.0 True"
	run plan recipe.yaml --links racks.yaml
	assert_line --index 0 --regexp "^4 ranks .* computing [0-9.e-]+ ms a step \(as measured here\)$"
	run json 'round(it["chosen"]["bytes_sent"], 6)' < <(plan recipe.yaml --links racks.yaml --json --compute 1us)
	assert_output 400.0
	run json 'round(it["chosen"]["bytes_sent"], 6)' < <(plan recipe.yaml --links racks.yaml --json --compute 1us --set sync.momentum=yes)
	assert_output 800.0
	run json 'it["bytes"]' < <(plan recipe.yaml --links racks.yaml --json --bytes 1KiB)
	assert_output 1024.0
}

# What the plan makes of a compressor, for 20 MB.
compressing() { # LINKS [FLAGS]
	cat >compress.yaml <<-'END'
		data: {format: synthetic, samples: 100, features: 100, classes: 10}
		model: {preset: mlp, hidden: [50000]}
		train: {batch: 8}
		sync: auto
		compress: qsgd
	END
	plan compress.yaml --links "$@" --compute 1ms
}

@test "a compressor is refused where the codec takes longer than the wire" {
	printf 'nic: 400gbit\nhosts: 4\n' >fast.yaml
	run compressing fast.yaml --period 1
	assert_success
	assert_line --regexp "^plan +ms/step +comm +codec +sent +exact after +held back by$"
	assert_line --regexp "^ring, given order, compressed "
	refute_line --regexp "^chosen: .*compressed"
	assert_line --regexp "^note: compressing with qsgd would make a step [0-9.]+ ms longer here \(codec [0-9.]+ ms, .* on the wire\): not compressed$"
	compressing fast.yaml --period 1 --json >out
	run json '[it["chosen"]["compressed"], it["chosen"]["codec_s"], it["codec"]["scheme"]]' <out
	assert_output "False 0.0 qsgd"
	run json '0.12 < it["codec"]["ratio"] < 0.14 and it["codec"]["encode_bytes_per_s"] > 0' <out
	assert_output True
	run json 'it["codec"]["verdict"].endswith("not compressed")' <out
	assert_output True
	run json '{c["compressed"] for c in it["candidates"]}' <out
	assert_output "{False, True}"
}

@test "a compressor is chosen where the wire is slow, and says what it saves" {
	printf 'nic: 1mbit\nhosts: 4\n' >slow.yaml
	run compressing slow.yaml
	assert_success
	assert_line --regexp "^chosen: .*, compressed, .* times as fast as a ring in the given order$"
	assert_line --regexp "^note: compressing with qsgd makes a step [0-9.]+ ms shorter here \(codec .* ms, saves .* ms on the wire\)$"
	run json '[it["chosen"]["compressed"], it["chosen"]["codec_s"] > 0]' < <(compressing slow.yaml --json)
	assert_output "True True"
	run compressing slow.yaml --set compress=none
	refute_output --partial compress
	refute_output --partial codec
}

@test "only what crosses a thin uplink is compressed" {
	printf 'nic: 100gbit\nuplink: 10mbit\nracks: {a: "h[1-4]", b: "h[5-8]"}\n' >thin.yaml
	run compressing thin.yaml --period 1
	assert_success
	assert_line --regexp "^chosen: hierarchical, 2 racks, compressed across, "
	assert_line "order: h1 h2 h3 h4 | h5 h6 h7 h8"
}

@test "hosts are chosen with their slots" {
	plan --links racks.yaml -H h4:2,h1:2 --json >out
	run json 'it["ranks"]' <out
	assert_output "h4 h4 h1 h1"
	run plan --links racks.yaml -H h4:2,h1:2
	assert_line --regexp "h4:0 h4:1 \| h1:0 h1:1"
}

@test "where groups do not help, it says so" {
	run plan --links "$topologies/slow-nic.yaml"
	assert_success
	assert_line --regexp "^note: h3 sends at most .* Mbit/s, others .*: every group that it is in waits"
}

@test "computing that takes longer than all else leaves a ring" {
	run plan --links racks.yaml --compute 100s
	assert_line "chosen: ring, given order"
	assert_line "order: h1 h2 h3 h4"
}

@test "colour marks the choice where it is wanted, and nowhere else" {
	run plan --links racks.yaml --color always
	assert_line --index 2 --regexp $'^\e\\[1mds_sync.*\e\\[0m$'
	run plan --links racks.yaml
	refute_output --partial $'\e'
	NO_COLOR=1 run script -qec "$DSTRAIN plan --links racks.yaml --search 0" /dev/null
	refute_output --partial $'\e'
}

@test "what is wrong is said with its place and status 2" {
	refused "\`dstrain probe --save links.json\`"
	refused "cannot open 'none.json'" --links none.json
	echo 'nic: fast' >bad.yaml
	refused "bad.yaml:1:" --links bad.yaml
	refused "of host 'h9'" --links racks.yaml -H h1,h9
	refused "--set changes a recipe" --links racks.yaml --set a=b
	echo 'modl: {}' >bad-recipe.yaml
	refused "bad-recipe.yaml:1:1: unknown key 'modl'" bad-recipe.yaml --links racks.yaml
	refused "'2000' is out of range: 0 to 1024" --links racks.yaml --period 2000
}

@test "a network of unknown rates cannot be planned for" {
	run --separate-stderr plan --links "$topologies/four.yaml"
	assert_equal "$status" 1
	assert_equal "$stderr" "dstrain: error: no rate between two of the hosts is known; measure them with \`dstrain probe\`"
}

@test "measured clouds: 64 regions" {
	[ -d "$wan" ] || skip "no measured clouds here (../shared/data/wan)"
	"$DSTRAIN" plan --links "$wan"/matrix_gbps_*.csv --rtt "$wan"/matrix_rtt_ms_*.csv --json >out
	run json 'it["world"]' <out
	assert_output 64
	run json 'it["gain"] > 5' <out
	assert_output True
	run json 'it["chosen"]["exact_after"] <= 8' <out
	assert_output True
}

@test "measured clouds: ten regions in pairs" {
	[ -d "$wan" ] || skip "no measured clouds here (../shared/data/wan)"
	plan --links "$wan/dtfm_region_pairs.csv" --json >out
	run json '[it["world"], it["gain"] > 1]' <out
	assert_output "10 True"
}
