# Shared by the tests that need hosts: a lab for each file, a directory and a recipe for each test.
# shellcheck shell=bash
# shellcheck disable=SC2016  # single quotes: what stands in them is expanded on the hosts

bats_require_minimum_version 1.5.0

lab_up() { # TOPOLOGY: in setup_file
	if [ "$(id -u)" -ne 0 ] || ! unshare --net --mount true 2>/dev/null; then
		skip 'needs root and network namespaces (missing hardware)'
	fi
	export LAB_DIR="$BATS_FILE_TMPDIR/labs"
	LAB_NAME=$(basename "$1" .yaml)
	export LAB_NAME PATH="$BATS_TEST_DIRNAME/lab:$PATH"
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	export DSTRAIN
	lab up "$1" >/dev/null
}

teardown_file() {
	[ -z "${LAB_NAME:-}" ] || lab down
}

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	cd "$BATS_TEST_TMPDIR" || return
	cp "$LAB_DIR/$LAB_NAME/hosts.yaml" hosts.yaml
	cat >recipe.yaml <<-'END'
		name: small
		data: {format: synthetic, samples: 2000, features: 16, classes: 4, noise: 2}
		model: {preset: mlp, hidden: [32]}
		train: {epochs: 2, batch: 64, optimizer: {name: sgd, lr: 0.1, momentum: 0.9}}
		checkpoint: {every: 20, keep: 2}
	END
}

# dstrain on the user's side of the lab
user() {
	lab run -- "$DSTRAIN" "$@"
}

# A run without end, so many steps into it: $pid is dstrain itself. Checkpoints of steps so short would
# come faster than a slow disk takes them, and whoever stops the run would wait for all of those.
begin() { # DIR STEPS [FLAGS]
	local dir=$1 steps=$2

	shift 2
	(exec lab run -- "$DSTRAIN" run recipe.yaml --hosts hosts.yaml --run-dir "$dir" \
		--set train.steps=1000000 --set train.eval_every=0 --set checkpoint.every=5000 "$@" >"$dir.out" 2>&1 3>&-) &
	# shellcheck disable=SC2034 # for the tests
	pid=$!
	until_true has_steps "$dir" "$steps"
}

has_steps() { # DIR COUNT
	[ "$(grep -c '"kind":"step"' "$1/metrics.jsonl")" -ge "$2" ]
}

# until_true COMMAND...: wait for a condition, at most a minute
until_true() {
	local deadline=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || fail "never true: $*" || return
		sleep 0.1 # many a command takes as long
	done
}

# The pids on a host of what executes our program from its cache.
workers_on() {
	lab exec "$1" sh -c 'for p in /proc/[0-9]*; do
		case $(readlink $p/exe) in */dstrain/bin/*) echo ${p#/proc/};; esac
	done'
}

# The first process of a host is its sshd. It has another number inside, where no signal stops it.
sshd_of() { # HOST
	local holder

	read -r holder _ <"$LAB_DIR/$LAB_NAME/hosts/$1/pid"
	tr -d ' ' <"/proc/$holder/task/$holder/children"
}

no_worker_on() {
	[ -z "$(workers_on "$1")" ]
}

losses() { # DIR
	sed -E 's/,"(samples_per_s|elapsed_s)".*//' "$1/metrics.jsonl"
}
