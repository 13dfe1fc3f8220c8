#!/usr/bin/env bats
# Files, memory and disk that run out: one line that says what, and what to do; nothing hangs.

load dstrain

@test "too few open files for so many workers is said before anything starts" {
	run bash -c 'ulimit -n 40 && exec ./dstrain run recipe.yaml --hosts local:8 --run-dir run'
	assert_failure 1
	assert_output --regexp "8 workers on 1 host need up to [0-9]+ open files, and the limit is 40; raise it, as with: ulimit -n [0-9]+"
	[ ! -s run/metrics.jsonl ]
}

@test "a soft limit on open files is raised as far as it is needed" {
	run bash -c 'ulimit -Sn 40 && exec ./dstrain run recipe.yaml --hosts local:8 --run-dir run --set train.steps=5'
	assert_success
}

@test "a small model needs little address space, whatever the number of threads" {
	run bash -c 'ulimit -v 300000 && exec timeout 60 ./dstrain run recipe.yaml --run-dir run --set train.threads=3'
	assert_success
}

@test "a model that no memory holds is refused with both numbers" {
	run timeout 60 ./dstrain run recipe.yaml --run-dir run --hosts local:1 --set 'model.hidden=[60000, 65000, 65000, 65000, 65000, 65000, 65000, 65000, 65000]'
	assert_failure 1
	# 65000 x 65000 seven times and what is small beside that, three times, of four bytes each.
	assert_output --regexp "error: rank 0 on 'local': out of memory: weights, gradient, optimizer and what lies between the layers take 374\\.3 GiB, and the limit is [0-9.]+ [MG]iB$"
	[[ $output =~ limit\ is\ ([0-9.]+)\ ([MG])iB ]]
	awk -v limit="${BASH_REMATCH[1]}" -v unit="${BASH_REMATCH[2]}" '/^MemTotal:/ {
		exit !(limit > 0 && limit * (unit == "G" ? 1024 : 1) <= $2 / 1024 * 1.01) }' /proc/meminfo
}

@test "too few open files for many hosts is said before one is connected to" {
	run bash -c 'ulimit -n 100 && exec timeout 60 ./dstrain run recipe.yaml --hosts "host[001-100].invalid" --run-dir run --set train.batch=200'
	assert_failure 1
	assert_output --regexp "error: 100 workers on 100 hosts need up to 2124 open files, and the limit is 100; raise it, as with: ulimit -n 2124"
	refute_output --partial invalid
}

@test "as many open files as are said to be needed are enough for 32 ranks, and one less is refused" {
	needs() { # FLAGS
		./dstrain run recipe.yaml --hosts local:32 --set train.steps=3 "$@"
	}
	export -f needs
	for transport in tcp inproc; do
		run bash -c "ulimit -n 40; needs --run-dir few-$transport --set transport=$transport"
		assert_failure 1
		[[ $output =~ ulimit\ -n\ ([0-9]+) ]]
		enough=${BASH_REMATCH[1]}
		run bash -c "ulimit -n $((enough - 1)); needs --run-dir few-$transport --set transport=$transport"
		assert_failure 1
		assert_output --partial "and the limit is $((enough - 1))"
		run bash -c "ulimit -n $enough; needs --run-dir $transport --set transport=$transport"
		if [ "$transport" = inproc ]; then # one worker with all ranks
			assert_output --regexp "the connections of 32 ranks need up to [0-9]+ open files, and the limit is $enough"
			[[ $output =~ ulimit\ -n\ ([0-9]+) ]]
			run bash -c "ulimit -n ${BASH_REMATCH[1]}; needs --run-dir more --set transport=$transport"
		fi
		assert_success
	done
}

@test "a wall clock that jumps by a year, to and fro, changes nothing but time stamps" {
	faked() { # FLAGS
		LD_PRELOAD=$PWD/wall_clock.so WALL_CLOCK=$PWD/clock "$@"
	}
	jump() {
		echo "$1" >clock.new && mv clock.new clock
	}
	# Steps of milliseconds: there is time to jump, and whoever reads the clock all the time keeps up.
	sed -i 's/features: 16/features: 64/; s/hidden: .32./hidden: [512, 256]/; s/batch: 64/batch: 128/' recipe.yaml
	flags=(--set train.steps=1000 --set train.eval_every=0 --set checkpoint.every=50)
	gcc -shared -fPIC -O2 -o wall_clock.so "$BATS_TEST_DIRNAME/wall_clock.c"
	jump 0
	steps=0
	faked ./dstrain run recipe.yaml --run-dir run "${flags[@]}" 2>said 3>&- &
	orchestrator=$!
	for to in 31536000 -31536000 0; do
		wait_for 60 has_steps run $((steps + 50)) || { cat said; false; }
		steps=$(steps_of run)
		jump "$to"
		[ "$to" = 0 ] || { [ "$(faked date +%Y)" != "$(date +%Y)" ] && kill -0 "$orchestrator"; }
	done
	wait "$orchestrator"
	cat said
	[ "$(grep -c silent said || true)" = 0 ]
	./dstrain run recipe.yaml --run-dir whole --quiet "${flags[@]}"
	assert_same_training run whole
	run grep -o '"elapsed_s":-' run/metrics.jsonl
	assert_output ''
}

# In a mount namespace of our own, so that no other disk fills up.
@test "a disk too small for a checkpoint: the file, the bytes it needs and those that are free" {
	unshare -m true || skip "no such hardware: not allowed to mount"
	sed -i 's/hidden: .32./hidden: [1024]/; s/keep: 2/keep: 100/' recipe.yaml
	./dstrain run recipe.yaml --run-dir run --set train.steps=20 --quiet
	unshare -m bash -e <<-'END'
		cp -r run/checkpoints saved
		mount -t tmpfs -o size=1m none run/checkpoints
		cp -r saved/* run/checkpoints
		./dstrain resume run --set train.steps=300 --quiet 2>said || echo $? >status
		ls -A run/checkpoints >kept
		./dstrain ckpt verify run >verified 2>&1 || true
		mount -o remount,size=30m run/checkpoints
		./dstrain resume run --set train.steps=300 --quiet
		cp -r run after
	END
	assert_equal "$(cat status)" 1
	run cat said
	assert_output --regexp "error: cannot write 'run/checkpoints/\.step-[0-9]+\.tmp/[a-z0-9-]+\.safetensors': No space left on device; the checkpoint needs [0-9]+ bytes more, and [0-9]+ are free; make room, and resume"
	[[ $output =~ needs\ ([0-9]+)\ bytes\ more,\ and\ ([0-9]+)\ are ]]
	[ "${BASH_REMATCH[1]}" -gt "${BASH_REMATCH[2]}" ]
	[ "${BASH_REMATCH[1]}" -lt 200000 ]
	[ "$(wc -l <kept)" -ge 3 ]
	run grep -v '^step-[0-9]*$' kept
	assert_output ''
	run grep -c '^ok' verified
	assert_output "$(wc -l <kept)"
	./dstrain run recipe.yaml --run-dir whole --set train.steps=300 --quiet
	assert_equal "$(digests after)" "$(digests whole)"
	diff <(losses whole | grep '"step",') <(losses after | grep '"step",')
}

@test "what a killed dstrain had begun to collect is removed before the run goes on" {
	./dstrain run recipe.yaml --run-dir run --set train.steps=40 --quiet
	mkdir run/checkpoints/.step-60.tmp
	head -c 100000 /dev/zero >run/checkpoints/.step-60.tmp/model.safetensors
	# One that ends before it collects anything itself.
	run bash -c 'ulimit -n 40 && exec ./dstrain resume run --hosts local:8 --set train.steps=60'
	assert_failure 1
	assert_equal "$(ls -A run/checkpoints)" $'step-20\nstep-40'
}

# Every fsync takes a quarter of a second, and a checkpoint comes at every step. strace lives as long as dstrain.
@test "checkpoints that come faster than the disk takes them do not hide a worker's silence" {
	sed -i 's/every: 20/every: 1/' recipe.yaml
	strace -f -o /dev/null --seccomp-bpf -e trace=fsync -e inject=fsync:delay_enter=250000 \
		./dstrain run recipe.yaml --run-dir run --set train.steps=1000000 --set train.eval_every=0 2>said 3>&- &
	traced=$!
	wait_for 60 test -e run/checkpoints/step-1
	kill -STOP "$(workers | sort -n | sed -n 1p)"
	from=$EPOCHREALTIME status=0
	wait $traced || status=$?
	echo "ended with $status after $(seconds_since "$from") s"
	cat said
	assert_equal $status 3
	[ "$(seconds_since "$from")" -lt 20 ]
	grep -q "rank 0 on 'local' did not answer for 3 seconds" said
}
