#!/usr/bin/env bats
# Faults that a recipe wants: ranks that straggle, and gradients that are wrong.
# shellcheck disable=SC2031,SC2154 # every test is a shell of its own

load dstrain

few=(--set train.steps=10 --set transport=inproc)

seconds() { # RUN: that it took
	python3 -c 'import json, sys
print(json.loads(open(sys.argv[1]).readlines()[-1])["elapsed_s"])' "$1/metrics.jsonl"
}

accuracy() { # RUN: of the last evaluation, in per cent; 0 if there was none
	python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
print(int(100 * ([line["accuracy"] for line in lines if line["kind"] == "eval"] or [0])[-1]))' "$1/metrics.jsonl"
}

@test "a straggler is slow, the run says so, and what is learned is the same" {
	train --run-dir plain "${few[@]}"
	run train --run-dir slow "${few[@]}" --set fault.compute=20ms --set fault.straggle.permanent=1 \
		--set fault.straggle.factor=3
	assert_success
	assert_output --partial "faults are injected, as the recipe wants: all steps of rank 1 take 3 times as long; a step computes for at least 0.02 s"
	assert_same_training plain slow
	run python3 -c 'import sys; print(float(sys.argv[1]) >= 0.6)' "$(seconds slow)"
	assert_output True
}

@test "whoever stops a run does not wait for a rank that sleeps" {
	local status=0

	./dstrain run recipe.yaml --run-dir run --set transport=inproc --set fault.compute=1h \
		>out 2>said 3>&- &
	orchestrator=$!
	wait_for 60 grep -q "2 ranks, " said
	kill -INT "$orchestrator"
	wait "$orchestrator" || status=$?
	assert_equal "$status" 130
}

@test "a wrong gradient does harm where nobody looks at it" {
	train --run-dir plain "${few[@]}"
	for kind in sign_flip noise scale constant; do
		run train --run-dir "$kind" "${few[@]}" --set fault.rank=1 --set "fault.kind=$kind"
		assert_output --partial "gradients of rank 1 are wrong ($kind)"
		if [ "$status" -eq 0 ]; then
			refute diff <(losses plain) <(losses "$kind")
		else
			assert_output --partial "is not finite at step"
		fi
	done
	run train --run-dir nan "${few[@]}" --set fault.rank=1 --set fault.kind=nan
	assert_failure 1
	assert_output --partial "not finite at step"
}

shares() { # RUN: of the latest checkpoint
	python3 -c 'import json, struct, sys
data = open(sys.argv[1], "rb").read()
length = struct.unpack("<Q", data[:8])[0]
begin, end = json.loads(data[8:8 + length])["shares"]["data_offsets"]
print(*(int(x) for x in struct.unpack("<%df" % ((end - begin) // 4), data[8 + length:][begin:end])))' \
		"$(find "$1/checkpoints" -name rank-0.safetensors | sort -V | tail -n 1)"
}

@test "who is slow gets a smaller share of the batch, and all learn the same" {
	local with=(--hosts local:4 --set transport=inproc --set train.steps=16 --set checkpoint.every=10)
	local slow=(--set train.share=measured --set fault.compute=20ms
		--set fault.straggle.permanent=2 --set fault.straggle.factor=4)

	train --run-dir equal "${with[@]}"
	train --run-dir run "${with[@]}" "${slow[@]}"
	run shares run
	python3 -c 'import sys
shares = [int(x) for x in sys.argv[1].split()]
assert len(shares) == 4 and sum(shares) == 64 and 2 * shares[2] < min(shares[:2] + shares[3:]), shares' \
		"$output"
	python3 - <<-'END'
		import json
		one, other = [[json.loads(line) for line in open(run + "/metrics.jsonl")] for run in ("equal", "run")]
		for a, b in zip(one, other, strict=True):
		    assert abs(a["loss"] - b["loss"]) < 1e-4 * a["loss"], (a, b)
	END
	cp -r run whole
	rm -r run/checkpoints/step-16
	./dstrain resume run --set fault.straggle.permanent=0
	assert_equal "$(shares run)" "$(shares whole)"
	assert_same_training whole run
}

# Two of seven ranks are wrong, in every way, and each rule bears a way or more.
@test "robust aggregation trains where a sum does not" {
	local with=(--hosts local:7 --set transport=inproc --set train.steps=60 --set train.batch=448
		--set "fault.rank=[1, 5]")
	local kind rule

	while read -r kind rule; do
		run train --run-dir "$kind-$rule" "${with[@]}" --set "fault.kind=$kind" --json --quiet \
			--set sync.strategy=robust --set sync.tolerate=2 --set "sync.rule=$rule"
		assert_success
		run accuracy "$kind-$rule"
		assert [ "$output" -ge 70 ]
	done <<-'END'
		sign_flip trimmed_mean
		noise median
		scale multi_krum
		constant majority
		nan trimmed_mean
		nan krum
	END
	run train --run-dir bsp "${with[@]}" --set fault.kind=sign_flip
	run accuracy bsp
	assert [ "$output" -lt 50 ]
}

@test "a rule says how many ranks it needs" {
	run train --hosts local:4 --set sync=robust --set sync.tolerate=2
	assert_failure 1
	assert_output --partial "sync.tolerate: rule 'trimmed_mean' needs 5 ranks to bear 2 that are wrong, and there are 4"
	run train --run-dir other --set sync=robust --set compress=int8
	assert_failure 2
	assert_output --partial "compress.scheme: sync.strategy 'robust' judges gradients as they are"
}
