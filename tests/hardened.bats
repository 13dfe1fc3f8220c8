#!/usr/bin/env bats
# What the release build has against those who would misuse a mistake in it.

bats_require_minimum_version 1.5.0

setup() {
	bats_load_library bats-support
	bats_load_library bats-assert
	DSTRAIN=$(realpath "${DSTRAIN:-$BATS_TEST_DIRNAME/../dstrain}")
	command -v readelf objdump >/dev/null || skip "no binutils on this machine"
	! readelf --dyn-syms -W "$DSTRAIN" | grep -qE '__(asan|tsan|ubsan)_' ||
		skip "a build with sanitizers"
}

code_of() { # FUNCTION
	objdump -d --no-show-raw-insn "--disassemble=$1" "$DSTRAIN"
}

@test "the program is loaded anywhere, and its tables are read-only before it starts" {
	run readelf -hldW "$DSTRAIN"
	assert_success
	assert_output --partial 'Type:                              DYN'
	assert_line --regexp 'FLAGS_1.* NOW.* PIE'
	assert_line --regexp 'FLAGS.* BIND_NOW'
	assert_line --partial GNU_RELRO
	refute_output --partial TEXTREL
	refute_output --regexp 'R(UN)?PATH'
}

@test "no memory can be written and executed, the stack least of all" {
	run readelf -lW "$DSTRAIN"
	assert_success
	assert_line --regexp 'GNU_STACK .* RW +0x'
	refute_output --partial RWE
}

@test "stacks are guarded, and calls of libc know how large their buffers are" {
	run code_of account
	assert_output --partial __stack_chk_fail
	run code_of error_set
	assert_output --partial __vsnprintf_chk
}

@test "large frames touch every page, and calls land where they may" {
	[ "$(uname -m)" = x86_64 ] || skip "no hardware of the kind that has this"
	run code_of account
	assert_line --regexp 'orq +[$]0x0,'
	run code_of main
	assert_output --partial endbr64
}
