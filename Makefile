# Slipway. `make` builds build/slipway; `make help` lists the rest.
#
# One non-recursive Makefile. Objects of each MODE have a tree of their own under
# build/, so release, debug and sanitizer builds live side by side. Libraries are
# found by pkg-config; tools/bootstrap installs what is missing before anything is
# compiled, and returns at once when nothing is.

MODE         ?= release
BUILD        ?= build
PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 60
JOBS         ?= $(shell nproc)
ifeq ($(origin CC),default)
CC := gcc
endif

MODES := release debug asan tsan fuzz
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is none of: $(MODES))
endif

DEPS  := build/deps
VENV  := build/venv
ARCH  := $(shell uname -m)
CLANG := $(findstring clang,$(CC))
WITH  := $(if $(CLANG),-clang)
B     := $(BUILD)/$(MODE)$(if $(filter-out fuzz,$(MODE)),$(WITH))
TREE   = $(notdir $(B))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

COMMA := ,

# `make V=1` shows whole commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# --- libraries ----------------------------------------------------------------

# Goals that compile nothing need nothing; goals that test need the test tools too.
GOALS      := $(or $(MAKECMDGOALS),all)
NO_COMPILE := help clean venv format format-check tidy
TEST_GOALS := check test torture bench fuzz fuzz-programs programs clang-tidy $(NO_COMPILE)
WITH_TESTS := $(filter-out help clean,$(filter $(TEST_GOALS),$(GOALS)))
BOOTSTRAP  := tools/bootstrap$(if $(WITH_TESTS)$(CLANG), --test)
LIBRARIES  := libuv libssl libcrypto sqlite3 yaml-0.1 libpcre2-8 zlib yyjson libllhttp libnghttp2
PKG        := PKG_CONFIG_PATH=$(DEPS)/pkgconfig pkg-config

# Make brings this file up to date before it reads anything else: the one place where
# the machine is looked at. It keeps its time stamp unless its contents change.
ifneq ($(filter-out $(NO_COMPILE),$(GOALS)),)
include $(BUILD)/libraries.mk
endif

$(BUILD)/libraries.mk: FORCE
	@$(BOOTSTRAP)
	@$(PKG) --exists $(LIBRARIES) || { $(PKG) --exists --short-errors --print-errors $(LIBRARIES) || \
	    echo "make: libraries are missing; tools/bootstrap installs them"; exit 1; }
	@mkdir -p $(@D)
	@{ echo "LIB_CFLAGS := $$($(PKG) --cflags $(LIBRARIES))"; \
	   echo "LIB_LIBS := $$($(PKG) --libs $(LIBRARIES))"; \
	   echo "LLHTTP_DIR := $$($(PKG) --variable=libdir libllhttp)"; \
	   echo "CMOCKA_LIBS := $$($(PKG) --libs cmocka 2>/dev/null)"; } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# llhttp comes as an archive too, and that is linked. yyjson is only a shared library: when
# it is not the system's, the program finds it in lib/slipway beside its own folder, in
# build/ as well as under PREFIX.
LLHTTP_ARCHIVE := $(wildcard $(LLHTTP_DIR)/libllhttp.a)
LIBS := $(if $(LLHTTP_ARCHIVE),$(filter-out -lllhttp,$(LIB_LIBS)) $(LLHTTP_ARCHIVE),$(LIB_LIBS)) \
    -lm -lpthread -ldl
ifneq ($(wildcard $(DEPS)/lib/libyyjson.so.0),)
RPATH         := -Wl,-rpath,'$$ORIGIN/../lib/slipway'
TEST_RPATH    := -Wl,-rpath,'$$ORIGIN/../../lib/slipway'
OWN_LIBRARIES := $(BUILD)/lib/slipway/libyyjson.so.0
endif
# ONNX Runtime, when tools/bootstrap --onnxruntime fetched it: opened from the same folder.
ifneq ($(wildcard $(DEPS)/lib/libonnxruntime.so.1),)
OWN_LIBRARIES += $(BUILD)/lib/slipway/libonnxruntime.so.1
endif

# --- flags ----------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
    -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual -Wvla -Walloca -Wformat=2 \
    -Wimplicit-fallthrough -Werror=implicit $(if $(filter true,$(CI)),-Werror)
# Guesses that depend on the compiler's version and optimiser more than on the code: a list of
# texts with a joined literal in it, an snprintf that may cut (which is what it is used for).
# Under a sanitizer gcc also loses sight of what has been set.
WARNINGS += $(if $(CLANG),-Wno-string-concatenation,-Wno-format-truncation \
    $(if $(filter asan tsan,$(MODE)),-Wno-maybe-uninitialized))

HARDEN := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
    $(if $(filter x86_64,$(ARCH)),-fcf-protection) \
    $(if $(filter aarch64,$(ARCH)),-mbranch-protection=standard)

MODE_release := -O3 -g -fno-math-errno -fno-plt $(HARDEN)
MODE_debug   := -O0 -g3
MODE_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
MODE_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=all

# -ffp-contract=off: sums have the same bits on every machine and in every tier.
ALL_CPPFLAGS = -D_GNU_SOURCE -Isrc $(patsubst -I%,-isystem %,$(LIB_CFLAGS)) $(CPPFLAGS)
ALL_CFLAGS   = -std=c17 -fPIE -ffp-contract=off $(WARNINGS) $(MODE_$(MODE)) $(CFLAGS)
ALL_LDFLAGS  = -pie -Wl,-z,relro,-z,now $(RPATH) $(filter -fsanitize=%,$(MODE_$(MODE))) $(LDFLAGS)

# Files with an instruction set of their own; the program asks the CPU before it calls them.
VBMI := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vbmi2 -mavx512bitalg \
    -mavx512vpopcntdq -mbmi2 -mpopcnt

# --- what is built ----------------------------------------------------------------

SOURCES  := $(sort $(shell find src -name '*.c' 2>/dev/null))
SOURCES  := $(if $(filter x86_64,$(ARCH)),$(SOURCES),$(filter-out %_vbmi.c,$(SOURCES)))
MAIN     := $(filter src/main.c,$(SOURCES))
OBJECTS  := $(patsubst %.c,$(B)/%.o,$(filter-out $(MAIN),$(SOURCES)))
ARCHIVE  := $(B)/libslipway.a
PROGRAM  := $(if $(MAIN),$(B)/slipway)
UNIT     := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
TORTURE  := $(patsubst tests/torture/%.c,$(B)/torture/%,$(sort $(wildcard tests/torture/torture_*.c)))
REPLAY   := $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
SLOW     := $(B)/slipway-slow
BENCHES  := $(patsubst tests/bench/%.c,$(B)/bench/%,$(sort $(wildcard tests/bench/bench_*.c)))
BENCH_VENV := $(if $(wildcard tests/bench/requirements.txt),build/venv-bench/.requirements)
FORMATTED := $(sort $(shell find src tests examples -name '*.[ch]' 2>/dev/null))

# Folders whose files become part of the program as tables embedded_<name>[] (store/embedded.h).
EMBEDDED     := sql python
EMBED_sql    := $(sort $(wildcard src/store/sql/*.sql))
EMBED_python := $(sort $(wildcard python/slipway_worker/*.py))
OBJECTS      += $(EMBEDDED:%=$(B)/embed_%.o)

all: $(ARCHIVE) $(PROGRAM) $(if $(filter release,$(MODE)),$(PROGRAM:$(B)/%=$(BUILD)/%)) ## build/slipway, the program

# The release program under a short name; the other trees are reached by their own paths.
$(BUILD)/slipway: FORCE
	@[ "$$(readlink $@)" = $(B:$(BUILD)/%=%)/slipway ] || ln -sfn $(B:$(BUILD)/%=%)/slipway $@

$(B)/slipway: $(B)/src/main.o $(ARCHIVE) $(OWN_LIBRARIES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(filter %.o %.a,$^) $(LIBS) -o $@

# The program with a runtime whose calls take as long as one wants: for tests of scheduling.
$(SLOW): tests/slow/slow.c $(B)/src/main.o $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	$(call say,TEST,$<)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -MT $@ -MF $@.d $< $(B)/src/main.o $(ARCHIVE) \
	    $(ALL_LDFLAGS) $(LIBS) -o $@

$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

# Changed flags rebuild what they were used for.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$(subst ",\",$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS))" >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/src/%_vbmi.o: ALL_CFLAGS += $(VBMI)

# Written anew each time and kept only when it differs: a file that was removed leaves too.
$(B)/embed_%.c: FORCE
	@mkdir -p $(@D)
	@tools/embed embedded_$* $(EMBED_$*) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/embed_%.o: $(B)/embed_%.c $(B)/flags
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/lib/slipway/lib%: $(DEPS)/lib/lib%
	@mkdir -p $(@D)
	@cp -L $< $@

# --- running and installing -----------------------------------------------------------

run: all ## set up, build, serve examples/triage on http://127.0.0.1:8080
	@exec examples/triage/run

demo: all ## a release that goes right and one that goes wrong, in a minute
	@exec examples/demo/run

SHARE = $(DESTDIR)$(PREFIX)/share

# The program prints its completions and writes its man pages from its own table of commands.
install: all ## put program, man pages and completions under PREFIX (and DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/man/man1 $(SHARE)/bash-completion/completions \
	    $(SHARE)/zsh/site-functions
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/slipway
	$(if $(OWN_LIBRARIES),install -d $(DESTDIR)$(PREFIX)/lib/slipway)
	$(if $(OWN_LIBRARIES),install -m 644 $(OWN_LIBRARIES) $(DESTDIR)$(PREFIX)/lib/slipway/)
	for page in $$($(PROGRAM) man --list); do \
	    $(PROGRAM) man $$page \
	        >$(SHARE)/man/man1/$$page.1 || exit 1; done
	$(PROGRAM) completion bash >$(SHARE)/bash-completion/completions/slipway
	$(PROGRAM) completion zsh >$(SHARE)/zsh/site-functions/_slipway

# --- tests --------------------------------------------------------------------------

# A program of one source file and the archive, with a dependency file beside it.
COMPILE_TEST = $(CC) $(ALL_CPPFLAGS) -I$(dir $<) $(ALL_CFLAGS) -MMD -MP -MT $@ -MF $@.d
LINK_TEST    = $(ARCHIVE) $(ALL_LDFLAGS) $(TEST_RPATH) $(LIBS) -o $@

$(B)/unit/%: tests/unit/%.c $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(COMPILE_TEST) $< $(CMOCKA_LIBS) $(LINK_TEST)

$(B)/torture/%: tests/torture/%.c $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(COMPILE_TEST) -Itests/unit $< $(CMOCKA_LIBS) $(LINK_TEST)

$(B)/replay/%: tests/fuzz/%.c tests/fuzz/replay.c $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c tests/fuzz/replay.c -o $@-main.o
	$(Q)$(COMPILE_TEST) $< $@-main.o $(LINK_TEST)

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(COMPILE_TEST) -fsanitize=fuzzer $< $(LINK_TEST)

$(B)/bench/%: tests/bench/%.c $(ARCHIVE) $(OWN_LIBRARIES) $(B)/flags
	@mkdir -p $(@D)
	$(call say,BENCH,$<)
	$(Q)$(COMPILE_TEST) $< $(LINK_TEST)

# Everything of one MODE that tests/run starts.
programs: all $(UNIT) $(TORTURE) $(REPLAY) $(SLOW)
fuzz-programs: $(if $(filter fuzz,$(MODE)),$(FUZZERS))

IN_MODE    = +@$(MAKE) MODE=$(1) CC=$(CC) programs
CLANG_MAKE = +@$(MAKE) MODE=debug CC=clang programs
FUZZ_MAKE  = +@$(MAKE) MODE=fuzz CC=clang fuzz-programs
RUN_TESTS  = tests/run --build $(BUILD) $(if $(ONLY),--only '$(ONLY)')
# ONLY takes a test's name or a part of it; MODE chooses the build it runs in.
CHECKS     = $(TREE):unit $(TREE):cases $(TREE):replay tools tidy format
WHOLE      = $(1):unit $(1):cases $(1):replay $(1):integration

check: programs venv ## unit tests, cases, fuzz corpora, tidy, format: under two minutes
	@$(RUN_TESTS) $(CHECKS)

test: programs venv build/venv-triage/.requirements build/venv-clients/.requirements compile_commands.json ## check, integration, all of it under asan and tsan, short fuzzing
	$(if $(filter release,$(MODE)),$(call IN_MODE,debug))
	$(if $(filter release,$(MODE)),$(call IN_MODE,asan))
	$(if $(filter release,$(MODE)),$(call IN_MODE,tsan))
	$(if $(filter release,$(MODE)),$(if $(shell command -v clang),$(CLANG_MAKE)))
	$(if $(filter release,$(MODE)),$(if $(shell command -v clang),$(FUZZ_MAKE)))
	@$(RUN_TESTS) $(call WHOLE,$(TREE)) tools tidy format clang-tidy \
	    $(if $(filter release,$(MODE)),$(call WHOLE,asan$(WITH)) $(call WHOLE,tsan$(WITH)) fuzz=10)

torture: programs venv ## faults and load for minutes: kill -9, full disk, slow clients
	@$(RUN_TESTS) $(TREE):torture

fuzz: venv ## every parser for FUZZ_SECONDS (60) under libFuzzer
	$(FUZZ_MAKE)
	@$(RUN_TESTS) fuzz=$(FUZZ_SECONDS)

bench: all $(BENCHES) $(SLOW) venv $(BENCH_VENV) ## every bar of docs/benchmarks.md, one line each
	@exec tests/bench/run

image: all ## a container image of the release build (deploy/image)
	@deploy/image

venv: $(VENV)/.requirements
$(VENV)/.requirements: tests/requirements.txt
	@tools/bootstrap --test
	$(call install_python,$(VENV),$<)

# What train.py was run with: `make test` trains the example again and compares the bytes.
build/venv-triage/.requirements: examples/triage/requirements.txt
	$(call install_python,build/venv-triage,$<)

# Clients that want other versions of what build/venv has.
build/venv-clients/.requirements: tests/clients/requirements.txt
	$(call install_python,build/venv-clients,$<)

# The programs that the bench compares with are heavy, so they are apart from the tests' clients.
build/venv-bench/.requirements: tests/bench/requirements.txt
	$(call install_python,build/venv-bench,$<)

define install_python
@echo "venv: installing $(2) into $(1)"
@[ -x $(1)/bin/pip ] || python3 -m venv $(1)
@$(1)/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: -r $(2)
@touch $@
endef

# --- code checks ------------------------------------------------------------------------

clang-tidy: venv compile_commands.json ## static analysis of every source
	@$(RUN_TESTS) clang-tidy

tidy: ## layers, file heads, sizes, banned calls
	@python3 tools/tidy.py

format: venv ## rewrite sources in the house format
	@$(VENV)/bin/clang-format -i $(FORMATTED)

format-check: venv ## say which sources differ from it
	@$(VENV)/bin/clang-format --dry-run --Werror $(FORMATTED)

# Written by make itself: all of it is too long for one command line of a shell.
compile_commands.json: $(BUILD)/libraries.mk ## for editors and clang-tidy
	$(file >$@,[)
	$(foreach s,$(SOURCES),$(file >>$@,{"directory": "$(CURDIR)", "file": "$(s)", "command": "$(CC) \
	    $(ALL_CPPFLAGS) $(ALL_CFLAGS)$(if $(filter %_vbmi.c,$(s)), $(VBMI)) -c $(s)"}$(if \
	    $(filter $(s),$(lastword $(SOURCES))),,$(COMMA))))
	$(file >>$@,])
	@:

clean: ## remove what was built; build/deps, build/apt and build/venv stay
	rm -rf $(filter-out build/deps build/apt build/venv build/venv-bench build/venv-clients build/venv-triage,$(wildcard $(BUILD)/*)) compile_commands.json

help: ## this list
	@echo "usage: make [target] [variable=value]"
	@echo
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-24s %s\n", $$1, $$2 }'
	@echo
	@echo "  MODE=$(MODE)  one of: $(filter-out fuzz,$(MODES))"
	@echo "  CC=$(CC)  or clang    PREFIX=$(PREFIX)  DESTDIR=  for install"
	@echo "  ONLY=text  tests whose name has it    JOBS=$(JOBS)    V=1  whole commands"
	@echo "  SLIPWAY_BOOTSTRAP=no  install nothing, take the machine as it is"

FORCE:
.PHONY: all run demo install image check test torture bench fuzz tidy format format-check clean help \
    venv programs fuzz-programs clang-tidy compile_commands.json FORCE

-include $(patsubst %.o,%.d,$(OBJECTS)) $(B)/src/main.d \
    $(patsubst %,%.d,$(UNIT) $(REPLAY) $(FUZZERS) $(BENCHES) $(SLOW))
