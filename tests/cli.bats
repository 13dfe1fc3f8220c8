#!/usr/bin/env bats
# The command line: help, flags, colour, what goes to which stream, completion.

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	cd "$BATS_TEST_TMPDIR" || return
	PATH=$(dirname "$DSTRAIN"):$PATH
	printf 'data: synthetic\nmodel: softmax\n' >r.yaml
}

# The commands as the overview has them.
commands() {
	"$DSTRAIN" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

# The flags of a command as its help has them, without dashes.
flags_of() {
	"$DSTRAIN" "$1" --help | grep -oE '^ +(-.  )? *--[a-z-]+' | grep -oE '[a-z-]+$' | sed 's/^--//'
}

on_a_terminal() {
	script -qec "$1" /dev/null </dev/null
}

@test "the overview names all commands but the internal one" {
	run commands
	assert_output "run
resume
probe
plan
ps
status
logs
attach
stop
check
hosts
list
bench
ckpt
eval
sample
clean
completion"
}

@test "help is asked for in three ways, and goes to standard output" {
	for word in --help -h help; do
		run --separate-stderr "$DSTRAIN" "$word"
		assert_success
		assert_line "Usage: dstrain COMMAND [FLAGS]"
		# shellcheck disable=SC2154 # set by run
		assert_equal "$stderr" ""
	done
}

@test "every command has help with a summary and the flags that all have" {
	for command in $(commands); do
		run --separate-stderr "$DSTRAIN" "$command" --help
		assert_success
		assert_line --index 0 --regexp "^Usage: dstrain $command .*\[FLAGS\]$"
		for flag in quiet verbose color help version; do
			assert_line --regexp "^ .*--$flag( |$)"
		done
		assert_equal "$stderr" ""
		assert_equal "$("$DSTRAIN" "$command" -h)" "$output"
	done
}

@test "every flag in the help of a command is known to it" {
	for command in $(commands); do
		[ -n "$(flags_of "$command")" ]
		for flag in $(flags_of "$command"); do
			run "$DSTRAIN" "$command" "--$flag" --help
			refute_output --partial "unknown flag"
		done
	done
}

@test "help fits into the width of the terminal" {
	for width in 60 100; do
		run on_a_terminal "stty cols $width; $DSTRAIN run --help"
		assert_success
		assert [ "$(tr -d '\r' <<<"$output" | wc -L)" -le "$width" ]
	done
}

@test "--version" {
	run --separate-stderr "$DSTRAIN" --version
	assert_success
	assert_output --regexp '^dstrain [0-9]+\.[0-9]+\.[0-9]+$'
	assert_equal "$("$DSTRAIN" list --version)" "$output"
}

@test "no command is a usage error" {
	run --separate-stderr "$DSTRAIN"
	assert_equal "$status" 2
	assert_output ""
	assert_equal "$stderr" "dstrain: error: which command? see \`dstrain --help\`"
}

@test "an unknown command is a usage error, with the nearest one" {
	run --separate-stderr "$DSTRAIN" chekc
	assert_equal "$status" 2
	assert_equal "$stderr" "dstrain: error: no command 'chekc'; did you mean 'check'?"
	run --separate-stderr "$DSTRAIN" xyzzy
	assert_equal "$status" 2
	assert_equal "$stderr" "dstrain: error: no command 'xyzzy'; see \`dstrain --help\`"
}

@test "unknown flags are usage errors of every command, all at once, with the nearest ones" {
	for command in $(commands); do
		run --separate-stderr "$DSTRAIN" "$command" --colour=never -Z --xyzzy
		assert_equal "$status" 2
		assert_output ""
		assert_equal "$(head -3 <<<"$stderr")" \
			"dstrain: error: unknown flag '--colour'; did you mean '--color'?
dstrain: error: unknown flag '-Z'
dstrain: error: unknown flag '--xyzzy'"
		assert_equal "$(tail -1 <<<"$stderr")" "dstrain: see \`dstrain $command --help\`"
	done
}

@test "operands that are missing or too many" {
	run "$DSTRAIN" check
	assert_failure 2
	assert_line "dstrain: error: 'dstrain check' needs RECIPE"
	run "$DSTRAIN" check a b c
	assert_failure 2
	assert_line "dstrain: error: unexpected 'b'"
}

@test "flags stand before and behind operands, with blank or '=', '_' or '-'" {
	expected=$("$DSTRAIN" check r.yaml --print --set train.epochs=3)
	assert_equal "$("$DSTRAIN" check --set=train.epochs=3 r.yaml --print)" "$expected"
	assert_equal "$("$DSTRAIN" check --print --set train.epochs=3 -- r.yaml)" "$expected"
	run "$DSTRAIN" run r.yaml --dry_run --run_dir=x --fanout 0
	assert_failure 2
	assert_line "dstrain: error: --fanout: '0' is out of range: 1 to 1024"
	refute_output --partial unknown
}

@test "short flags take their value behind them or next, and switches go together" {
	for flags in "-H nope.yaml" "-Hnope.yaml" "-vHnope.yaml" "--hosts=nope.yaml"; do
		# shellcheck disable=SC2086 # two words
		run "$DSTRAIN" check r.yaml $flags
		assert_failure 2
		assert_output "--hosts: cannot open 'nope.yaml': No such file or directory"
	done
}

@test "behind -- nothing is a flag" {
	run "$DSTRAIN" check -- --json
	assert_failure 2
	assert_output "dstrain: error: cannot open '--json': No such file or directory"
}

@test "values that are missing or wrong" {
	run "$DSTRAIN" check r.yaml --hosts
	assert_failure 2
	assert_line "dstrain: error: '--hosts' needs a value (WHERE)"
	run "$DSTRAIN" check r.yaml --color sometimes --json=perhaps
	assert_failure 2
	assert_line "dstrain: error: --color: unknown value 'sometimes'; one of auto, always, never"
	assert_line "dstrain: error: --json: 'perhaps' is neither yes nor no"
}

@test "problems go to standard error and results to standard output" {
	"$DSTRAIN" check r.yaml --set foo=1 >out 2>err || true
	assert [ ! -s out ]
	assert [ -s err ]
	"$DSTRAIN" check r.yaml --print >out 2>err
	assert [ -s out ]
	assert [ ! -s err ]
}

@test "a full disk is an error" {
	run bash -c "'$DSTRAIN' list >/dev/full"
	assert_failure 1
	assert_output "dstrain: error: cannot write to standard output"
}

@test "a reader that goes away ends it without a word" {
	run bash -c "'$DSTRAIN' list --json | head -1"
	assert_success
	assert_output "{"
}

@test "colour on a terminal only, unless asked for or forbidden" {
	local escape=$'\e['

	run "$DSTRAIN" list
	refute_output --partial "$escape"
	run "$DSTRAIN" list --color always
	assert_output --partial "$escape"
	export TERM=xterm
	run on_a_terminal "$DSTRAIN list"
	assert_output --partial "$escape"
	run on_a_terminal "$DSTRAIN list --color never"
	refute_output --partial "$escape"
	NO_COLOR='' run on_a_terminal "$DSTRAIN list"
	assert_output --partial "$escape"
	NO_COLOR=1 run on_a_terminal "$DSTRAIN list"
	refute_output --partial "$escape"
	NO_COLOR=1 run on_a_terminal "$DSTRAIN list --color always"
	assert_output --partial "$escape"
	TERM=dumb run on_a_terminal "$DSTRAIN list"
	refute_output --partial "$escape"
}

# What bash offers behind these words, the last of which is being typed.
complete_words() {
	bash -c '. <(dstrain completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_dstrain 2>/dev/null; printf "%s\n" "${COMPREPLY[@]}"' - "$@"
}

@test "bash completes commands, flags, categories, keys and files" {
	assert_equal "$(complete_words dstrain re)" resume
	assert_equal "$(complete_words dstrain check --pr)" --print
	assert_equal "$(complete_words dstrain list tr)" transport
	assert_equal "$(complete_words dstrain check --color al)" always
	assert_equal "$(complete_words dstrain check --set train.optimizer.mo)" train.optimizer.momentum=
	assert_equal "$(complete_words dstrain check r.y)" r.yaml
	assert_equal "$(complete_words dstrain hosts sh)" show
}

@test "every flag of every command is in every completion script" {
	for shell in bash zsh fish; do
		"$DSTRAIN" completion "$shell" >"script.$shell"
		for command in $(commands); do
			assert grep -qw -e "$command" "script.$shell"
			for flag in $(flags_of "$command"); do
				assert grep -qwE -e "(--|-l )$flag" "script.$shell"
			done
		done
	done
	bash -n script.bash
	for shell in zsh fish; do
		! command -v "$shell" >/dev/null || "$shell" -n "script.$shell"
	done
}

@test "whatever has --json prints JSON" {
	for command in "run r.yaml --dry-run" "check r.yaml" "hosts show" "hosts check"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$DSTRAIN" $command --hosts local:2 --json
		assert_success
		python3 -m json.tool >/dev/null <<<"$output"
	done
	run "$DSTRAIN" hosts show --json --hosts 'a[1-2]:3'
	assert_equal "$(python3 -c 'import json, sys; print([(h["name"], h["port"], h["slots"]) for h in json.load(sys.stdin)])' <<<"$output")" \
		"[('a1', 22, 3), ('a2', 22, 3)]"
}

@test "completion for an unknown shell is a usage error" {
	run "$DSTRAIN" completion tcsh
	assert_failure 2
	assert_output "dstrain: error: no completion for 'tcsh'; one of bash, zsh, fish"
}
