# Shared by the tests that train: a copy of dstrain of one's own, so that whatever runs it was
# started by this test, and a recipe that takes a second.
# shellcheck shell=bash

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	cd "$BATS_TEST_TMPDIR" || return
	cp "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}" dstrain
	unset SSH_CONNECTION
	export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
	cat >recipe.yaml <<-'END'
		name: small
		hosts: local:2
		data: {format: synthetic, samples: 2000, features: 16, classes: 4, noise: 2}
		model: {preset: mlp, hidden: [32]}
		train: {epochs: 2, batch: 64, optimizer: {name: sgd, lr: 0.1, momentum: 0.9}}
		checkpoint: {every: 20, keep: 2}
	END
}

# No test may leave a process behind. (What has lost its orchestrator without noticing ends after 10 s.)
teardown() {
	local left

	wait_for 8 nothing_runs && return
	left=$(processes)
	echo "left behind:"
	# shellcheck disable=SC2086 # a list of numbers
	ps -o pid,ppid,stat,args -p "$(echo $left | tr ' ' ,)"
	# shellcheck disable=SC2086
	kill -9 $left
	return 1
}

# Everything that executes our copy; the workers among that.
processes() {
	find /proc -maxdepth 2 -name exe -lname "$PWD/dstrain" 2>/dev/null | cut -d / -f 3
}

workers() {
	local pid

	for pid in $(processes); do
		grep -qzx worker "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
	done
	true
}

nothing_runs() {
	[ -z "$(processes)" ]
}

# Try a command again and again; fail if it has not succeeded within so many seconds.
wait_for() { # SECONDS COMMAND...
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))

	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

train() { # [FLAGS]: quickly, into the directory `run` unless --run-dir says otherwise
	case " $* " in
	*" --run-dir "*) ./dstrain run recipe.yaml "$@" ;;
	*) ./dstrain run recipe.yaml --run-dir run "$@" ;;
	esac
}

# Train in the background until so many steps are done: $orchestrator, and its words in `said`. How
# many more are done meanwhile depends on the machine: what has to be met under way has no end.
begin() { # STEPS [FLAGS]
	local steps=$1

	shift
	./dstrain run recipe.yaml --run-dir run "$@" >out 2>said 3>&- &
	# shellcheck disable=SC2034 # for the tests
	orchestrator=$!
	wait_for 60 has_steps run "$steps" || { cat said; return 1; }
}

# shellcheck disable=SC2034 # for the tests
endless=(--set train.steps=1000000 --set train.eval_every=0 --set checkpoint.every=100)

detached() { # DIR [FLAGS]
	local dir=$1

	shift
	./dstrain run recipe.yaml --run-dir "$dir" --detach "${endless[@]}" "$@" 3>&- >out 2>said
	# shellcheck disable=SC2034 # for the tests
	orchestrator=$(member "$dir" pid)
}

member() { # RUN KEY
	./dstrain status "$1" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

is_state() { # RUN STATE
	local state

	state=$(member "$1" state)
	[ "$state" = "$2" ] || { echo "$1 is $state" && false; }
}

has_steps() { # DIR COUNT
	[ -e "$1/metrics.jsonl" ] && [ "$(steps_of "$1")" -ge "$2" ]
}

steps_of() { # DIR
	grep -c '"kind":"step"' "$1/metrics.jsonl" || true
}

# What metrics.jsonl says of the training itself, without times, and without what ranks say of their
# own weights at the end.
losses() { # DIR
	sed -E 's/,"(samples_per_s|elapsed_s)".*//; s/,"worst_[a-z]+":[^,}]+//g' "$1/metrics.jsonl"
}

# Whether ranks went at their own pace, which no two runs have in common.
is_paced() { # DIR
	grep -q '"waited_s"' "$1/metrics.jsonl"
}

newest() { # DIR: the newest checkpoint's directory
	find "$1/checkpoints" -name 'step-*' | sort -t - -k 2 -V | tail -n 1
}

digests() { # DIR: of the newest checkpoint's files, without the manifest
	(cd "$(newest "$1")" && sha256sum -- *.safetensors)
}

assert_same_training() { # DIR DIR
	diff <(losses "$1") <(losses "$2")
	assert_equal "$(digests "$1")" "$(digests "$2")"
}

registry() { # CATEGORY: its names
	./dstrain list "$1" --json |
		python3 -c 'import json, sys; [print(e["name"]) for e in json.load(sys.stdin)["'"$1"'"]]'
}

seconds_since() { # TIME, as of EPOCHREALTIME
	echo $(((${EPOCHREALTIME/./} - ${1/./}) / 1000000))
}
