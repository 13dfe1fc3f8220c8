# dstrain: `make demo` trains Fashion-MNIST on this machine, `make check` runs every test.
# Both install from Debian what is missing; `make all install` installs nothing but dstrain.
# Knobs: V=1 shows commands, SAN=address|thread|fuzz adds sanitizers, WERROR=1 makes warnings errors;
# CUDA=1 is refused until there is code for GPUs: a build that ignored it would mislead.

CC      ?= gcc
PREFIX  ?= /usr/local
SAN     ?=
OUT     := build$(if $(SAN),-$(SAN))
VERSION := 0.1.0

ifneq ($(filter 1 yes,$(CUDA)),)
$(error CUDA=$(CUDA): this release trains on processors only; build without it)
endif

comma    := ,
STD      := -std=c11 -D_POSIX_C_SOURCE=200809L
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wconversion -Wno-sign-conversion -Wimplicit-fallthrough -Wno-missing-field-initializers \
            $(if $(WERROR),-Werror)
# Number crunching wants -O3, and square roots that vectorise. Sanitizers look for mistakes: to
# optimise what they add takes twice as long, and minutes for loops. At -O1 gcc sees less of where
# variables are set; the builds without sanitizers warn of that.
CFLAGS   ?= $(if $(SAN),-O1 -g1 $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized),-O2 -g)
CRUNCH   := $(if $(SAN),-O1,-O3) -fno-math-errno
# Of these flags, those that this compiler has for this machine.
known     = $(foreach flag,$(1),$(shell $(CC) -Werror -O2 -include features.h $(flag) -S -o /dev/null -x c /dev/null 2>/dev/null && echo $(flag)))
HARDEN   := -fPIE -fstack-protector-strong $(call known,-fstack-clash-protection -fcf-protection) \
            $(if $(SAN),,-U_FORTIFY_SOURCE $(lastword -D_FORTIFY_SOURCE=2 $(call known,-D_FORTIFY_SOURCE=3)))
sanitizers = $(if $(filter thread,$(SAN)),thread,address$(comma)undefined)$(if $(filter fuzz,$(SAN)),$(comma)fuzzer-no-link)
SANITIZE := $(if $(SAN),-fsanitize=$(sanitizers) \
            -fno-omit-frame-pointer -fno-sanitize-recover=all)
# -ffp-contract=off: the same sums on every processor, with or without fused multiply-add.
ALL_CFLAGS = $(STD) $(WARNINGS) $(CFLAGS) $(HARDEN) $(SANITIZE) -ffp-contract=off -pthread -I. \
              -DDSTRAIN_VERSION='"$(VERSION)"' -MMD -MP
LDFLAGS  += -pie -pthread $(SANITIZE)
SEALED   := -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--build-id=sha1

# A library is linked statically where its archive exists, so that hosts need only glibc. Asked
# when linking, not when reading this file: `deps` may just have installed it.
link = $(if $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a)),-Wl$(comma)-Bstatic -l$(1) -Wl$(comma)-Bdynamic,-l$(1))
LIBS   := ssh2 yaml jansson ssl crypto z
LDLIBS  = $(foreach lib,$(LIBS),$(call link,$(lib))) -lm -ldl

SOURCES := $(wildcard cmd/*.c lib/*.c runtime/*.c runtime/*/*.c)
# What lies in simd/ is compiled for each of these; the best is chosen when the program starts.
ISAS    := plain $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),avx2 avx512)
plain   :=
avx2    := -mavx2 -mfma
avx512  := $(avx2) $(addprefix -mavx512,f dq bw vl) -mprefer-vector-width=512
KERNELS := $(wildcard runtime/device/simd/*.c)
# What is put on the wire is the same from every processor: no fused multiply-add there.
ALIKE   := %/codec %/half
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o) $(foreach isa,$(ISAS),$(KERNELS:%.c=$(OUT)/%.$(isa).o))
LIBRARY := $(OUT)/libdstrain.a
UNITS   := $(patsubst %.c,$(OUT)/%,$(wildcard tests/unit/*_test.c))
FUZZERS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/fuzz/*_fuzz.c))
BIN      = $(DESTDIR)$(PREFIX)/bin
SHARE    = $(DESTDIR)$(PREFIX)/share
DOC      = $(SHARE)/doc/dstrain
COMPLETIONS = $(addprefix $(SHARE)/,bash-completion/completions/dstrain \
              zsh/site-functions/_dstrain fish/vendor_completions.d/dstrain.fish)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

.PHONY: all demo check units objects fuzzers fuzz bats lint bench deps install uninstall clean
all: $(OUT)/dstrain
	$(if $(filter build,$(OUT)),$(Q)ln -sf $(OUT)/dstrain dstrain)

$(LIBRARY): $(filter-out $(OUT)/cmd/main.o,$(OBJECTS))
	$(Q)rm -f $@ && $(AR) crs $@ $^

$(OUT)/dstrain: $(OBJECTS)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(SEALED) -o $@ $^ $(LDLIBS)

$(OUT)/runtime/compress/%.o $(OUT)/runtime/device/%.o $(OUT)/runtime/model/%.o $(OUT)/runtime/optim/%.o: CFLAGS := $(CFLAGS) $(CRUNCH)
$(OUT)/%.o: %.c
	$(call say,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Fuzzers read files; what they never reach is not instrumented, which would take minutes.
define kernels
$(OUT)/%.$(1).o: %.c
	$$(call say,CC)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(if $$(filter fuzz,$$(SAN)),$$(filter-out -fsanitize%,$$(ALL_CFLAGS)),$$(ALL_CFLAGS)) $(CRUNCH) -ffp-contract=$$(if $$(filter $$(ALIKE),$$*),off,fast) $$($(1)) -DISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call kernels,$(isa))))

# These never leave this machine: with shared libraries, and gold where it is, a link takes a fifth of the time. What
# libssh2 leaks by itself is known by names that its shared library has not.
swiftly := $(if $(shell $(CC) -fuse-ld=gold -Wl,--version 2>/dev/null),-fuse-ld=gold)
$(OUT)/tests/unit/%_test: $(OUT)/tests/unit/%_test.o $(LIBRARY)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) $(swiftly) -o $@ $^ $(call link,ssh2) $(patsubst %,-l%,$(filter-out ssh2,$(LIBS))) -lm -ldl -lcmocka

# Peers' libraries are for the benchmarks alone.
$(OUT)/tests/bench/gemm.o: CFLAGS := $(CFLAGS) -ffp-contract=fast
$(OUT)/tests/bench/gemm: $(OUT)/tests/bench/gemm.o $(LIBRARY)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lopenblas

$(OUT)/tests/fuzz/%_fuzz: $(OUT)/tests/fuzz/%_fuzz.o $(LIBRARY)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

units: $(UNITS)
objects: $(OBJECTS) $(UNITS:=.o)
fuzzers: $(FUZZERS)
.SECONDARY:
-include $(OBJECTS:.o=.d) $(UNITS:=.d) $(FUZZERS:=.d)

deps:
	$(Q)tests/deps build tests lint list

demo:
	$(Q)tests/deps build
	$(Q)$(MAKE) --no-print-directory all
	./dstrain run recipes/fashion-mnist-mlp.yaml --hosts local:4

check:
	$(Q)tests/deps build tests lint
	$(Q)$(MAKE) --no-print-directory all units
	$(Q)tests/run units $(OUT) bats

bats: all
	$(Q)tests/run bats

lint:
	$(Q)tests/deps lint
	$(Q)tests/lint/run

fuzz:
	$(Q)tests/deps build tests
	$(Q)$(MAKE) --no-print-directory SAN=fuzz CC=clang fuzzers
	$(Q)tests/fuzz/run

bench: all
	$(Q)tests/deps bench
	$(Q)$(MAKE) --no-print-directory $(OUT)/tests/bench/gemm
	$(Q)$(OUT)/tests/bench/gemm
	$(Q)tests/bench/workers
	$(Q)tests/bench/step
	$(Q)tests/bench/plan
	$(Q)tests/bench/peers
	$(Q)tests/bench/allreduce
	$(Q)tests/bench/shaped

install: all
	$(Q)install -Dm755 $(OUT)/dstrain $(BIN)/dstrain
	$(Q)for page in man/*.[1-8]; do install -Dm644 $$page $(SHARE)/man/man$${page##*.}/$${page##*/}; done
	$(Q)install -d $(DOC)/recipes/networks $(DOC)/hosts $(dir $(COMPLETIONS))
	$(Q)install -m644 recipes/networks/* $(DOC)/recipes/networks
	$(Q)install -m644 recipes/*.yaml $(DOC)/recipes && install -m644 hosts/* $(DOC)/hosts
	$(Q)install -m644 README.md LICENSE $(DOC)
	$(Q)set -- bash zsh fish; for file in $(COMPLETIONS); do $(OUT)/dstrain completion $$1 >$$file || exit; shift; done

uninstall:
	$(Q)rm -rf $(BIN)/dstrain $(DOC) $(COMPLETIONS) $(foreach page,$(wildcard man/*),$(SHARE)/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

clean:
	$(Q)rm -rf build build-* dstrain
