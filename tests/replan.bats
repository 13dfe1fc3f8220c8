#!/usr/bin/env bats
# Links that change while ranks average in groups: other groups, for all ranks and for good.

load dstrain

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	# An average takes 17 ms, and 70 ms between the racks once their link is slow.
	cat >calm.yaml <<-'END'
		nic: 8mbit
		uplink: 16mbit
		racks: {r1: [h1, h2], r2: [h3, h4]}
	END
	{ cat calm.yaml && echo 'changes: [{at: 0.5, link: r1, rate: 4mbit}]'; } >moving.yaml
}

# Reports of ten steps: two tell what is usual, three or four have to show a change, and half a second
# has 28 steps at most: between step 52 and 100 groups change, unless ranks hear too late of it.
divide() { # NETWORK [FLAGS]
	train --emulate "$BATS_FILE_TMPDIR/$1.yaml" --set sync.strategy=ds_sync --set sync.replan=10 \
		--set model.hidden=200 --set train.eval_every=0 --set checkpoint.every=10 --set checkpoint.keep=14 \
		"${@:2}"
}

said() { # PATTERN: how often rank 0 has
	grep -cE "$1" run/logs/rank-0.log
}

# The groups that a checkpoint says are in force, the same on all ranks: the number of phases, and codes.
groups_at() { # STEP
	python3 - "run/checkpoints/step-$1" <<-'END'
	import json, struct, sys
	def groups(rank):
	    data = open(f"{sys.argv[1]}/rank-{rank}.safetensors", "rb").read()
	    size = struct.unpack("<Q", data[:8])[0]
	    first, last = json.loads(data[8:8 + size])["sync.groups"]["data_offsets"]
	    return struct.unpack(f"<{4 + 64 * 4}f", data[8 + size + first:][:4 * (4 + 64 * 4)])
	assert all(groups(rank) == groups(0) for rank in range(1, 4))
	print(*map(int, groups(0)))
	END
}

@test "when a link gets slow all ranks change to other groups at one step, once, and a resumed run keeps them" {
	divide moving --set train.steps=140
	cat run/logs/rank-0.log
	assert_equal "$(said 'r1\.(up|down) carries [0-9]+ % of what was measured.* should average in .* ms instead of')" 1
	assert_equal "$(said 'all ranks have changed')" 1
	step=$(grep -oP 'step \K[0-9]+(?=: all ranks have changed)' run/logs/rank-0.log)
	grep -q "new groups from step $step on" run/logs/rank-0.log
	assert [ "$step" -gt 50 ] && assert [ "$step" -le 130 ]
	assert_equal "$(groups_at 40 | cut -d ' ' -f 1)" 0 # those of the plan
	assert [ "$(groups_at 130 | cut -d ' ' -f 1)" -gt 2 ]
	# The model is that of all ranks.
	loss=$(./dstrain eval run --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["loss"])')
	assert_equal "${loss:0:6}" "$(grep -oP '"kind":"eval".*"loss":\K.{6}' run/metrics.jsonl | tail -n 1)"

	cp -r run whole
	rm -r run/checkpoints/step-140
	./dstrain resume run --quiet
	# Weights; ranks but the first one have no opinion of links, until they are resumed.
	assert_equal "$(digests run | head -n 3)" "$(digests whole | head -n 3)"
	assert_equal "$(groups_at 140)" "$(groups_at 130)"
}

@test "links that stay as they are leave the groups alone" {
	divide calm --set train.steps=100
	cat run/logs/rank-0.log
	assert_equal "$(said 'carries|new groups')" 0
	assert_equal "$(groups_at 100 | tr -d ' 0')" ''
}
