#!/usr/bin/env bats
# What ranks send: counted, set against float32, and shown.

bats_require_minimum_version 1.5.0

load dstrain

# A model of which most bytes are numbers; 30 steps.
send() { # DIRECTORY FLAGS...
	train --quiet --run-dir "$1" --set "model.hidden=[256,128]" --set train.steps=30 --set train.eval_every=10 "${@:2}"
}

# An expression on the result r and the lines of metrics of a run, which must be true.
assert_of() { # DIRECTORY EXPRESSION
	python3 - "$@" <<-'END'
		import json, sys
		r = json.load(open(sys.argv[1] + "/result.json"))
		lines = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
		steps = [l for l in lines if l["kind"] == "step"]
		members = ("bytes_sent", "payload_sent", "header_sent", "control_sent", "payload_fp32")
		assert all(r[m] == sum(l[m] for l in lines) for m in members), r
		assert r["compression_ratio"] == r["payload_fp32"] / r["payload_sent"], r
		assert eval("(" + sys.argv[2] + ")"), (r, steps[-1])
	END
}

@test "without compression the ratio is 1, whatever the strategy" {
	for strategy in bsp ds_sync local_sgd; do
		send "$strategy" --hosts local:4 --set sync.strategy="$strategy"
		assert_of "$strategy" 'r["compression_ratio"] == 1 and "bits_per_coordinate" not in r and
			all(l["compression_ratio"] in (1, None) for l in lines)'
	done
}

@test "numbers of fewer bits send as many fewer bytes" {
	local scheme bits

	while read -r scheme bits; do
		send "$scheme" --set compress="$scheme"
		assert_of "$scheme" "0.85 * 32 / $bits < r['compression_ratio'] <= 32 / $bits and
			$bits <= r['bits_per_coordinate'] < 1.15 * $bits and
			all(l['compression_ratio'] == steps[0]['compression_ratio'] for l in steps)"
	done <<-'END'
		fp16 16
		int8 8
		sign 1
	END
}

@test "a scheme that adapts says its level in each step" {
	send run --set compress=dq_sgd
	assert_of run 'all(2 <= l["compress_level"] <= 8 and l["bits_per_coordinate"] > 2 for l in steps)'
}

@test "what float32 would have sent is what it sends" {
	local strategy flags

	while read -r strategy flags; do
		set -- --hosts local:4 --set sync.strategy="$strategy"
		for flag in $flags; do
			set -- "$@" --set "$flag"
		done
		rm -rf dense half
		send dense "$@"
		send half "$@" --set compress=fp16
		assert_of half "r['payload_fp32'] == json.load(open('dense/result.json'))['payload_sent'] and
			0.9 < r['compression_ratio'] <= 2"
	done <<-'END'
		bsp
		bsp transport.shared_memory=no sync.allreduce=ring
		ds_sync
		local_sgd sync.period=2
	END
}

@test "the table at the end has the ratio" {
	run --separate-stderr train --set train.steps=30
	assert_line --regexp '^sent +[0-9.]+ [KMG]iB: payload [0-9.]+ [KMG]iB, headers [0-9.]+ [KMG]?i?B, control [0-9.]+ [KMG]iB$'
	refute_output --partial compression
	rm -rf run
	run --separate-stderr train --set train.steps=30 --set compress=fp16
	assert_line --regexp '^compression +ratio 1\.[5-9][0-9], 1[67]\.[0-9]+ bits a number$'
}

@test "the live line has it where something is compressed, within the terminal's width" {
	live() { # COLUMNS FLAGS...
		NO_COLOR=1 script -qec "stty cols $1; ./dstrain run recipe.yaml --run-dir run ${*:2} \
			--set model.hidden=[256,128] --set train.steps=400" /dev/null </dev/null |
			tr '\r' '\n' | sed 's/\x1b\[K//' | grep '^epoch [0-9]*/[0-9]*  *step'
		rm -rf run
	}

	run live 200 --set compress=int8
	assert_output --regexp '/s  x3\.[89] fewer bytes  left '
	run live 200
	refute_output --partial "bytes  left"
	run live 110 --set compress=int8
	assert_output --regexp '/s x3\.[89] fewer bytes$'
	run live 60 --set compress=int8
	assert [ "$(wc -L <<<"$output")" -lt 60 ]
}
