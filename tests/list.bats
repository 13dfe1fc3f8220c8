#!/usr/bin/env bats
# dstrain list: what a recipe can name, as text, JSON and Markdown; the README shows the same.

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	root=$BATS_TEST_DIRNAME/..
	DSTRAIN=$(realpath "${DSTRAIN:-$root/dstrain}")
	categories=(sync compress transport model layer loss optim schedule data)
}

# "category name" of every entry, from the JSON.
entries() {
	"$DSTRAIN" list --json | python3 -c 'import json, sys
for category, entries in json.load(sys.stdin).items():
    for entry in entries:
        print(category, entry["name"])'
}

@test "the overview has every category and every entry" {
	run --separate-stderr "$DSTRAIN" list
	assert_success
	for category in "${categories[@]}"; do
		assert_line "$category"
	done
	while read -r category name; do
		assert_line --regexp "^  $name  +[a-z]"
	done < <(entries)
	# shellcheck disable=SC2154 # set by run
	assert_equal "$stderr" ""
}

@test "there is something in every category" {
	for category in "${categories[@]}"; do
		assert [ "$(entries | grep -c "^$category ")" -gt 0 ]
	done
	assert_equal "$(entries | cut -d' ' -f1 | uniq | tr '\n' ' ')" "${categories[*]} "
}

@test "a category shows its entries with options, defaults and ranges" {
	run "$DSTRAIN" list optim
	assert_success
	assert_line --regexp '^sgd  [a-z]'
	assert_line --regexp '^    momentum +0 +number from 0 to 0.9999 +[a-z]'
	assert_line "In a recipe: \`train.optimizer: {name: sgd}\`"
}

@test "a category shows the options that stand beside those of all its entries" {
	run "$DSTRAIN" list sync
	assert_line "With every sync strategy:"
	assert_line --regexp '^    allreduce +auto +auto\|ring\|halving_doubling\|tree\|direct\|flat\|hierarchical +[a-z]'
}

@test "required options are marked" {
	run "$DSTRAIN" list data
	assert_line --regexp '^    train.images +required +file '
}

@test "the JSON of a category is that part of the whole" {
	for category in "${categories[@]}"; do
		"$DSTRAIN" list --json >"$BATS_TEST_TMPDIR/all.json"
		"$DSTRAIN" list "$category" --json >"$BATS_TEST_TMPDIR/one.json"
		run python3 - "$category" "$BATS_TEST_TMPDIR" <<-'END'
		import json, sys
		category, place = sys.argv[1:]
		one, all = (json.load(open(f"{place}/{name}.json")) for name in ("one", "all"))
		assert list(one) == [category] and one[category] == all[category]
		entry_keys = [set(e) == {"name", "summary", "options"} for e in one[category]]
		assert all and False not in entry_keys
		END
		assert_success
	done
}

@test "every option has a summary and a type" {
	run bash -c "'$DSTRAIN' list --json | python3 -c '
import json, sys
for category, entries in json.load(sys.stdin).items():
    for e in entries:
        assert e[\"summary\"], e
        for o in e[\"options\"]:
            assert o[\"summary\"] and o[\"type\"] and not o[\"summary\"].endswith(\".\"), o'"
	assert_success
	assert_output ""
}

@test "an unknown category is a usage error, with the nearest one" {
	run "$DSTRAIN" list snyc
	assert_failure 2
	assert_output "dstrain: error: no category 'snyc'; did you mean 'sync'?"
	run "$DSTRAIN" list xyzzy
	assert_failure 2
	assert_output "dstrain: error: no category 'xyzzy'; see \`dstrain list\`"
}

@test "--markdown is a table with a row for each entry" {
	for category in "${categories[@]}"; do
		run "$DSTRAIN" list "$category" --markdown
		assert_success
		assert_line --index 0 "| Name | What it does | Options |"
		assert_line --index 1 "|---|---|---|"
		assert_equal "${#lines[@]}" $(($(entries | grep -c "^$category ") + 2))
		refute_output --regexp '[^|]$'
	done
	run "$DSTRAIN" list --markdown
	assert_failure 2
	assert_output --partial "needs a category"
}

@test "the tables of the README are what the commands above them print" {
	local readme=$root/README.md found=0

	[ -f "$readme" ] || skip "no README.md yet"
	while IFS=: read -r line text; do
		category=${text#*dstrain list }
		category=${category%% *}
		expected=$("$DSTRAIN" list "$category" --markdown)
		assert_equal "$(tail -n +$((line + 1)) "$readme" | sed -n '/^|/,/^$/p' |
			sed '/^$/,$d')" "$expected"
		found=$((found + 1))
	done < <(grep -n 'dstrain list [a-z]* --markdown' "$readme")
	assert [ "$found" -gt 0 ]
}
