#!/usr/bin/env bats
# bats file_tags=long
# Protocols for all orders in which things can happen: the models of tests/spin, checked by spin.

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	models=$(realpath "$BATS_TEST_DIRNAME/spin")
	cd "$BATS_TEST_TMPDIR" || return
}

verify() { # MODEL DEFINITION...
	rm -rf check
	mkdir check
	(cd check && spin -a "${@:2}" "$models/$1.pml" && gcc -w -O0 -DSAFETY -DNOREDUCE -o pan pan.c) || return
	run ./check/pan -m1000000
	assert_success
	assert_output --partial "errors: 0"
	refute_output --partial "search not completed"
}

@test "meetings of three ranks on a ring and on a path, over two cycles" {
	verify aau -DN=3 -DGRAPH=0
	verify aau -DN=3 -DGRAPH=1
}

@test "meetings of four ranks on a ring" {
	verify aau -DN=4 -DGRAPH=0 -DCYCLES=1
}

@test "others go on without a rank that stopped, whichever it is" {
	for stopped in 0 1 2 3; do
		verify aau -DN=4 -DGRAPH=0 -DCYCLES=1 -DSTOPPED=$stopped
	done
}

@test "the model notices a ready that goes the wrong way" {
	sed 's/|| n > known\[me\])/\&\& n > known[me])/' "$models/aau.pml" >wrong.pml
	refute cmp -s wrong.pml "$models/aau.pml"
	spin -a -DN=3 wrong.pml
	gcc -w -O0 -DSAFETY -DNOREDUCE -o pan pan.c
	run ./pan -m1000000
	refute_output --partial "errors: 0"
}

@test "clocks of the parameter server stay within their bound, and nobody waits for ever" {
	verify ssp -DBOUND=1 -DSTEPS=2
	verify ssp -DN=2 -DBOUND=2 -DAHEAD=1
	verify ssp -DBOUND=1 -DSTOPPED=1
}

@test "the model notices a bound too tight for ranks that compute ahead" {
	spin -a -DN=2 -DBOUND=1 -DAHEAD=1 "$models/ssp.pml"
	gcc -w -O0 -DSAFETY -DNOREDUCE -o pan pan.c
	run ./pan -m1000000
	refute_output --partial "errors: 0"
}
