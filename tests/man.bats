#!/usr/bin/env bats
# The manual pages name every command, flag, key, implementation, variable and exit status.

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	root=$BATS_TEST_DIRNAME/..
	DSTRAIN=$(realpath "${DSTRAIN:-$root/dstrain}")
	cd "$root" || return
	for page in dstrain.1 dstrain-recipe.5 dstrain-hosts.5 dstrain-links.5; do
		mandoc -T ascii "man/$page" | col -b >"$BATS_TEST_TMPDIR/$page"
	done
}

# The page has the word, with no letter of a longer one before or behind it.
has() { # PAGE WORD
	local word=${2//./\\.}

	grep -qE -e "(^|[^A-Za-z0-9_.-])$word(\$|[^A-Za-z0-9_-])" "$BATS_TEST_TMPDIR/$1" ||
		fail "man/$1 does not name '$2'"
}

commands() {
	"$DSTRAIN" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }'
}

# Of every registry: "SECTION.KEY" for the options, or a bare name for the entries.
registry_words() { # names | keys
	"$DSTRAIN" list --json | python3 -c 'import json, sys
sections = {"sync": "sync", "compress": "compress", "transport": "transport", "model": "model",
            "optim": "train.optimizer", "schedule": "train.schedule", "data": "data"}
for category, entries in json.load(sys.stdin).items():
    for entry in entries:
        if sys.argv[1] == "names":
            print(entry["name"])
        elif category in sections:
            for option in entry["options"]:
                print(sections[category] + "." + option["key"])' "$1"
}

@test "mandoc finds nothing wrong" {
	run mandoc -T lint -W warning man/dstrain.1 man/dstrain-recipe.5 man/dstrain-hosts.5 man/dstrain-links.5
	assert_success
	assert_output ""
}

@test "the word search is strict" {
	run has dstrain.1 resum
	assert_failure
	run has dstrain-recipe.5 train.batc
	assert_failure
}

@test "every command" {
	for command in $(commands); do
		has dstrain.1 "dstrain $command"
	done
}

@test "every flag of every command, also in the synopsis unless all have it" {
	for command in $(commands); do
		for flag in $("$DSTRAIN" "$command" --help | grep -oE ' --[a-z-]+( |$)'); do
			has dstrain.1 "$flag"
		done
		for letter in $("$DSTRAIN" "$command" --help | grep -oE '^  -[a-zA-Z] '); do
			has dstrain.1 "$letter"
		done
	done
}

@test "every category, shell and subcommand" {
	for category in $("$DSTRAIN" list | grep -E '^[a-z]+$'); do
		has dstrain.1 "$category"
	done
	for word in bash zsh fish check show; do
		has dstrain.1 "$word"
	done
}

@test "every exit status" {
	for status in 0 1 2 3 129 130 138 143; do
		assert sed -n '/^EXIT STATUS/,/^EXAMPLES/p' "$BATS_TEST_TMPDIR/dstrain.1" | grep -qw "$status"
	done
}

@test "every variable of the environment that the sources ask for" {
	while read -r name; do
		has dstrain.1 "$name"
	done < <(grep -rhoE 'getenv\("[A-Z_]+"\)' lib cmd | grep -oE '[A-Z_]{3,}' | sort -u)
}

@test "every member of a line of metrics" {
	local names

	names=$({
		sed -n '/^static int write_step/,/^}/p;/^static int write_eval/,/^}/p' lib/progress.c
		sed -n '/^void traffic_add_json/,/^}/p' lib/traffic.c
	} | grep -oE '(json|to), "[a-z0-9_]+"' | grep -oE '"[a-z0-9_]+"' | tr -d '"' | sort -u)
	assert [ "$(wc -l <<<"$names")" -gt 15 ]
	assert grep -qx compression_ratio <<<"$names"
	for name in $names; do
		has dstrain.1 "$name"
	done
}

@test "every key of a recipe" {
	local recipe keys

	for recipe in recipes/*.yaml; do
		keys=$("$DSTRAIN" check "$recipe" --json | python3 -c 'import json, sys
def walk(value, path):
    if isinstance(value, dict):
        for key in value:
            walk(value[key], path + [key])
    else:
        print(".".join(path))
walk(json.load(sys.stdin)["recipe"], [])')
		[ "$(wc -l <<<"$keys")" -gt 20 ]
		for key in $keys; do
			# {dirichlet: ALPHA} is described beside data.shard
			has dstrain-recipe.5 "${key%.dirichlet}"
		done
	done
}

@test "every option of every implementation" {
	assert [ "$(registry_words keys | wc -l)" -gt 20 ]
	for key in $(registry_words keys); do
		has dstrain-recipe.5 "$key"
	done
}

@test "every implementation" {
	assert [ "$(registry_words names | wc -l)" -gt 20 ]
	for name in $(registry_words names); do
		has dstrain-recipe.5 "$name"
	done
}

@test "the recipe page has the recipe that comes with dstrain" {
	sed -n '/^\.Bd -literal/,/^\.Ed/p' man/dstrain-recipe.5 |
		sed -n '/^name: fashion-mnist-mlp/,/^\.Ed/p' | grep -v '^\.Ed' >"$BATS_TEST_TMPDIR/r.yaml"
	run diff <("$DSTRAIN" check --print "$BATS_TEST_TMPDIR/r.yaml") \
		<("$DSTRAIN" check --print recipes/fashion-mnist-mlp.yaml)
	assert_success
}

@test "the recipe page has a list of layers, and what check shows of it" {
	sed -n '/^data: {format: synthetic, features: 16/,/^\.Ed/p' man/dstrain-recipe.5 |
		grep -v '^\.Ed' >"$BATS_TEST_TMPDIR/r.yaml"
	sed -n '/^layer  *kind/,/^\.Ed/p' man/dstrain-recipe.5 | grep -v '^\.Ed' >"$BATS_TEST_TMPDIR/shown"
	assert [ "$(wc -l <"$BATS_TEST_TMPDIR/shown")" -gt 5 ]
	run diff <("$DSTRAIN" check "$BATS_TEST_TMPDIR/r.yaml" | sed '/^a step/,$d') "$BATS_TEST_TMPDIR/shown"
	assert_success
}

@test "every option of every layer" {
	for key in $("$DSTRAIN" list layer --json | python3 -c 'import json, sys
print(*(o["key"] for e in json.load(sys.stdin)["layer"] for o in e["options"]))'); do
		has dstrain-recipe.5 "$key"
	done
}

@test "every key of a host, as hosts show prints them and the sources know them" {
	for key in $(grep -oE '\{ "[a-z_]+", OPT_' lib/hosts_entry.c | grep -oE '[a-z_]{3,}') \
		identity known_hosts env groups hosts; do
		has dstrain-hosts.5 "$key"
	done
}

@test "every member of a links file" {
	for key in $(grep -ohE '(json_add_[a-z]+\(json|json_add\(json|^	\{) "[a-z_]+"|json, "[a-z_]+"' lib/links_json.c |
		grep -oE '"[a-z_]+"' | tr -d '"' | sort -u) incomplete spent changes; do
		has dstrain-links.5 "$key"
	done
}

@test "every keyword of ssh_config" {
	local words

	words=$(sed -n '/^static const struct keyword/,/^};/p' lib/ssh_config.c | grep -oE '"[A-Z][A-Za-z]+"')
	assert [ "$(wc -w <<<"$words")" -gt 5 ]
	for word in $words Include Host Match ProxyCommand; do
		has dstrain-hosts.5 "${word//\"/}"
	done
}
