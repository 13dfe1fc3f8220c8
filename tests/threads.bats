#!/usr/bin/env bats
# Threads of a rank: never more than there are processors unless asked for, and no result changes.
# Instruction sets: results that differ only by rounding.

load dstrain

losses() { # RUN
	python3 -c '
import json, sys
for line in open(sys.argv[1] + "/metrics.jsonl"):
    row = json.loads(line)
    print(*(row.get(key) for key in ("kind", "step", "loss", "gradient_norm", "accuracy")))
' "$1"
}

@test "one, two and three threads give the same losses and weights bit for bit" {
	for threads in 1 2 3; do
		./dstrain run recipe.yaml --quiet --run-dir "$threads" --set train.threads=$threads \
			--set data.features=300 --set 'model.hidden=[256, 100]' --set train.batch=200 --set train.clip=1
		losses $threads >$threads.losses
	done
	[ "$(wc -l <1.losses)" -gt 20 ]
	cmp 1.losses 2.losses
	cmp 1.losses 3.losses
	cmp 1/checkpoints/step-20/model.safetensors 3/checkpoints/step-20/model.safetensors
}

@test "more threads than processors are said to be so; the default never is" {
	./dstrain run recipe.yaml --run-dir many --set train.threads=500 --set train.steps=2 --hosts local:1
	grep -E "train.threads: 1 rank with 500 threads each on [0-9]+ processors?; with 0 there" many/logs/rank-0.log
	./dstrain run recipe.yaml --run-dir few --set train.steps=2 --hosts local:5
	run ! grep -r train.threads few/logs
}

@test "fifty steps on every instruction set differ by rounding alone" {
	for isa in plain avx2 avx512; do
		DSTRAIN_ISA=$isa ./dstrain run recipe.yaml --quiet --run-dir "$isa" --set train.steps=50
		losses $isa >$isa.losses
	done
	for isa in avx2 avx512; do
		paste plain.losses $isa.losses | awk '
			$1 == "step" { d = $3 - $8; if (d < 0) d = -d; if (d > 1e-4) { print; wrong = 1 } steps++ }
			END { exit wrong || steps < 50 }'
	done
}
