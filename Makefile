# Slipway. `make` builds build/slipway; `make help` lists the rest.
#
# One non-recursive Makefile. Objects of each MODE have a tree of their own under
# build/, so release, debug and sanitizer builds live side by side. Libraries are
# found by pkg-config; tools/bootstrap installs what is missing before anything is
# compiled, and returns at once when nothing is.

MODE  ?= release
BUILD ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
ifeq ($(origin CC),default)
CC := gcc
endif

MODES := release debug asan tsan
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is none of: $(MODES))
endif

DEPS  := build/deps
CLANG := $(findstring clang,$(CC))
ARCH  := $(shell uname -m)
B     := $(BUILD)/$(MODE)$(if $(CLANG),-clang)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# --- libraries ----------------------------------------------------------------

# Goals that compile nothing need no libraries; goals that test need the test tools too.
GOALS      := $(or $(MAKECMDGOALS),all)
QUIET      := help clean format format-check tidy
TEST_GOALS := check test unit cases integration torture bench fuzz tidy format format-check
ifneq ($(filter $(TEST_GOALS),$(GOALS))$(CLANG),)
BOOTSTRAP := tools/bootstrap --test
else
BOOTSTRAP := tools/bootstrap
endif

# Make brings this file up to date before it reads anything else: the one place where
# the machine is looked at. It keeps its time stamp unless its contents change.
ifneq ($(filter-out $(QUIET),$(GOALS)),)
-include $(BUILD)/libraries.mk
endif

LIBRARIES := libuv libssl libcrypto sqlite3 yaml-0.1 libpcre2-8 zlib yyjson libllhttp
PKG := PKG_CONFIG_PATH=$(DEPS)/pkgconfig pkg-config

$(BUILD)/libraries.mk: FORCE
	@$(BOOTSTRAP)
	@mkdir -p $(@D)
	@{ echo "LIB_CFLAGS := $$($(PKG) --cflags $(LIBRARIES))"; \
	   echo "LIB_LIBS := $$($(PKG) --libs $(LIBRARIES))"; \
	   echo "LLHTTP_DIR := $$($(PKG) --variable=libdir libllhttp)"; \
	   echo "CMOCKA_LIBS := $$($(PKG) --libs cmocka 2>/dev/null)"; } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# llhttp comes as an archive and is linked whole. yyjson is only a shared library; when it
# is not the system's, the program finds it beside itself: build/lib or PREFIX/lib.
LLHTTP_ARCHIVE := $(wildcard $(LLHTTP_DIR)/libllhttp.a)
LIBS := $(if $(LLHTTP_ARCHIVE),$(filter-out -lllhttp,$(LIB_LIBS)) $(LLHTTP_ARCHIVE),$(LIB_LIBS)) \
        -lm -lpthread -ldl
YYJSON_OWN := $(wildcard $(DEPS)/lib/libyyjson.so.0)
ifneq ($(YYJSON_OWN),)
RPATH := -Wl,-rpath,'$$ORIGIN/../lib/slipway'
TEST_RPATH := -Wl,-rpath,'$$ORIGIN/../../lib/slipway'
OWN_LIBRARIES := $(BUILD)/lib/slipway/libyyjson.so.0
endif

# --- flags ----------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
    -Wundef -Wpointer-arith -Wwrite-strings -Wcast-qual -Wvla -Walloca -Wformat=2 \
    -Wimplicit-fallthrough -Werror=implicit
ifeq ($(CI),true)
WARNINGS += -Werror
endif

HARDEN := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
HARDEN += $(if $(filter x86_64,$(ARCH)),-fcf-protection)
HARDEN += $(if $(filter aarch64,$(ARCH)),-mbranch-protection=standard)

MODE_release := -O3 -g -fno-math-errno -fno-plt $(HARDEN)
MODE_debug   := -O0 -g3
MODE_asan    := -O1 -g3 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_tsan    := -O1 -g3 -fno-omit-frame-pointer -fsanitize=thread

# -ffp-contract=off: sums must have the same bits on every machine and in every tier.
ALL_CPPFLAGS = -D_GNU_SOURCE -Isrc $(patsubst -I%,-isystem %,$(LIB_CFLAGS)) $(CPPFLAGS)
ALL_CFLAGS   = -std=c17 -fPIE -ffp-contract=off $(WARNINGS) $(MODE_$(MODE)) $(CFLAGS)
ALL_LDFLAGS  = -pie -Wl,-z,relro,-z,now $(filter -fsanitize=%,$(MODE_$(MODE))) $(LDFLAGS)

# Files that need an instruction set of their own; the program asks the CPU before it calls them.
VBMI := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vbmi2 -mavx512bitalg \
    -mavx512vpopcntdq -mbmi2 -mpopcnt

# --- what is built ----------------------------------------------------------------

find    = $(sort $(shell find $(wildcard $(1)) -name '$(2)' 2>/dev/null))
SOURCES := $(call find,src,*.c)
ifneq ($(ARCH),x86_64)
SOURCES := $(filter-out %_vbmi.c,$(SOURCES))
endif
MAIN    := $(filter src/main.c,$(SOURCES))
OBJECTS := $(patsubst %.c,$(B)/%.o,$(filter-out $(MAIN),$(SOURCES))) $(B)/embed_sql.o
ARCHIVE := $(B)/libslipway.a
SQL     := $(sort $(wildcard src/store/sql/*.sql))
UNIT    := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
REPLAY  := $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ    := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH   := $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/bench_*.c))

all: $(ARCHIVE) $(if $(MAIN),$(B)/slipway $(if $(filter $(B),$(BUILD)/release),$(BUILD)/slipway)) ## build/slipway, the program (default)

$(B)/slipway: $(B)/src/main.o $(ARCHIVE) $(OWN_LIBRARIES)
	$(CC) $(ALL_LDFLAGS) $(RPATH) $(filter %.o %.a,$^) $(LIBS) -o $@

$(BUILD)/slipway: $(B)/slipway
	@ln -sfn release/slipway $@

$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/src/%_vbmi.o: ALL_CFLAGS += $(VBMI)

# Written anew each time and kept only when it differs: a file that was removed leaves too.
$(B)/embed_sql.c: FORCE
	@mkdir -p $(@D)
	@tools/embed embedded_sql $(SQL) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(B)/embed_sql.o: $(B)/embed_sql.c
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/lib/slipway/libyyjson.so.0: $(YYJSON_OWN)
	@mkdir -p $(@D)
	@cp -L $< $@

# --- tests --------------------------------------------------------------------------

$(B)/unit/%: tests/unit/%.c $(ARCHIVE) $(OWN_LIBRARIES)
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -MMD -MP -MT $@ -MF $@.d $< $(ARCHIVE) $(ALL_LDFLAGS) \
	    $(TEST_RPATH) $(CMOCKA_LIBS) $(LIBS) -o $@

check: all $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

help: ## this list
	@grep -hE '^[a-z_.-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*##/\t/' | expand -t 24

clean: ## remove what was built; build/deps and build/venv stay
	rm -rf $(filter-out build/deps build/venv build/apt,$(wildcard $(BUILD)/*))

FORCE:
.PHONY: all check help clean FORCE
-include $(patsubst %.o,%.d,$(OBJECTS)) $(B)/src/main.d $(patsubst %,%.d,$(UNIT))
