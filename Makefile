# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a Debian machine with a Swift toolchain: `make run` and `make test`.

SHELL := /bin/bash
SWIFT ?= swift
RUN_PACKAGES := libc-ares-dev libcrypt-dev libcurl4-openssl-dev libnghttp2-dev libqrencode-dev libssl-dev zlib1g-dev
TEST_PACKAGES := $(RUN_PACKAGES) apache2-utils ca-certificates chromium curl dnsmasq-base faketime firefox-esr fish gcc gnutls-bin \
	haproxy iproute2 libc6-dev libipsec-mb1 libnss3-tools man-db mosquitto nghttp2-client nghttp2-proxy nginx-light node-ws nodejs openssl p11-kit procps prometheus python3-h2 python3-venv \
	strace systemd tmux wget zsh
PICTURE_PACKAGES := fonts-dejavu-core imagemagick xdotool xvfb
DEB_PACKAGES := binutils dpkg-dev
DEB_TEST_PACKAGES := debootstrap

.PHONY: help run test build reference pictures lint check-debug check-release bench-smoke fuzz sanitize \
	run-packages test-packages \
	made install install-files uninstall deb deb-packages deb-test dist clean

help:
	@echo 'make run      build, make certificates, start an echo app and Sluice in front of it'
	@echo 'make test     everything that is checked: format, debug and release builds, all tests'
	@echo 'make reference  write the tables of the documents from what the program declares'
	@echo 'make pictures  the pictures of README.md, from the running program (as root)'
	@echo 'make fuzz     the fuzzer on all targets; `SECONDS=600` for longer, `TARGET=request-head` for one'
	@echo 'make sanitize  the unit tests under the address sanitizer'
	@echo 'make install  program, manual, completions and unit below $$PREFIX (default /usr/local)'
	@echo 'make uninstall  take them away again'
	@echo 'make dist     a tarball, a Debian package and their checksums in .build/dist'
	@echo 'make deb      the Debian package alone; `make deb-test` installs, runs and removes it'

# Debian packages that are missing, installed; as root, or through sudo.
define install_missing
	@missing=""; for package in $(1); do \
	  dpkg-query -W -f='$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' \
	    || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    $$sudo apt-get install -q -y --no-install-recommends $$missing; fi
endef

run-packages:
	$(call install_missing,$(RUN_PACKAGES))

test-packages:
	$(call install_missing,$(TEST_PACKAGES))

# One build for all: what `make run` starts is what `make install` installs and `make dist` packs. The Swift
# libraries are within, so that it runs where there is no toolchain. C's assertions name their files, so the folder of
# the sources would be all that differs between the builds of two people.
RELEASE := -c release --static-swift-stdlib -Xcc "-ffile-prefix-map=$(CURDIR)=."

build: run-packages
	$(SWIFT) build $(RELEASE) $(BUILD_OPTIONS) --product sluice

run: build
	@certs/make-certs.sh
	@certs/run-demo.sh

test: lint check-debug check-release bench-smoke
	@echo 'everything passed'

# The tables of docs/configuration.md, docs/metrics.md and of exit codes, from what the program declares.
reference: test-packages
	SLUICE_REFERENCE=write $(SWIFT) test --filter 'ConfigTests.ReferenceTests|sluiceTests.ExitCodesTests|MetricsTests.MetricsReferenceTests'

# With a network of their own, so the usual ports are free.
pictures: build test-packages
	$(call install_missing,$(PICTURE_PACKAGES))
	@test -x .build/pictures/bin/python || { python3 -m venv .build/pictures \
	  && .build/pictures/bin/python -m pip install --quiet websockets; }
	.build/pictures/bin/python docs/pictures/make-pictures $(PROGRAM)

lint:
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

# Three processes side by side: two for the tests that start programs, which wait much, and one for those of the rooms,
# which compute. Each waits for nobody's lock, since nothing is built.
check-debug: test-packages
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	@run() { set -o pipefail; \
	  $(SWIFT) test --skip-build --ignore-lock --parallel "$${@:2}" 2>&1 | tee ".build/test-$$1.log"; }; \
	run programs-a-n --filter '^IntegrationTests\.[A-N]' & first=$$!; \
	run programs-o-z --filter '^IntegrationTests\.[O-Z]' & second=$$!; \
	run rooms --skip '^IntegrationTests\.'; failed=$$?; \
	wait $$first || failed=1; wait $$second || failed=1; \
	logs='.build/test-programs-a-n.log .build/test-programs-o-z.log .build/test-rooms.log'; \
	grep -hE '^. Test run with' $$logs; \
	[ $$failed = 0 ] || { echo; echo 'What failed:'; \
	  grep -hA3 -E '^✘ .*(recorded an issue|expectation failed)|Fatal error' $$logs; exit 1; }

check-release: test-packages
	$(SWIFT) build $(RELEASE)

bench-smoke: check-release
	benchmarks/smoke

# Builds with sanitizers have a folder of their own, since everything is compiled anew for them. The
# package manager takes only the last sanitizer, and would link a fuzzer without the address sanitizer.
SANITIZED := --scratch-path .build-fuzz
SECONDS ?= 60
TARGET ?=

fuzz: run-packages
	$(SWIFT) build $(SANITIZED) -c release --product Fuzz --sanitize=fuzzer -Xswiftc -sanitize=fuzzer,address \
	  -Xswiftc -use-ld=lld -Xswiftc -DFUZZER -Xswiftc -assert-config -Xswiftc Debug
	Tests/fuzz $(SECONDS) $(TARGET)

# IntegrationTests start programs, and LayoutTests read files: neither runs what is compiled here. The leak
# checker needs to trace the process, which containers forbid. Where something traps, the sanitizer tells where: Swift's
# own backtrace reads stacks that it forbids, and hangs.
sanitize: test-packages
	$(SWIFT) build $(SANITIZED) --build-tests --sanitize=address -Xswiftc -use-ld=lld
	@set -o pipefail; SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0:handle_sigill=1 $(SWIFT) test $(SANITIZED) --skip-build --sanitize=address -Xswiftc -use-ld=lld \
	  --skip 'IntegrationTests|LayoutTests' 2>&1 | tee .build-fuzz/sanitize.log \
	  || { echo; echo 'What failed:'; grep -A3 -E '^✘ .*(recorded an issue|expectation failed)|Fatal error|AddressSanitizer' .build-fuzz/sanitize.log; exit 1; }
	@echo; echo 'Skipped here:'; grep -E '^➜ .* skipped' .build-fuzz/sanitize.log

PREFIX ?= /usr/local
# What is installed: built here, or a program that is there already; without the names for debuggers, which
# are most of it. `make install STRIP=:` keeps them. A build's identity and the compiler's notes on its modules, which it
# reads in object files only, would be all that differs between two builds, so they go too.
PROGRAM ?= .build/release/sluice
STRIP ?= strip --strip-unneeded --remove-section=.comment --remove-section=.note.gnu.build-id \
	--remove-section=.swift_modhash
# The time that stands in what is packed: of the last commit.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
PARSER := swift-argument-parser
MADE := .build/install

BASH_FOLDER ?= $(PREFIX)/share/bash-completion/completions
ZSH_FOLDER ?= $(PREFIX)/share/zsh/site-functions
FISH_FOLDER ?= $(PREFIX)/share/fish/vendor_completions.d
MAN_FOLDER ?= $(PREFIX)/share/man/man1
UNIT_FOLDER ?= $(PREFIX)/lib/systemd/system
SCHEMA_FOLDER ?= $(PREFIX)/share/sluice
INSTALLED = $(PREFIX)/bin/sluice $(MAN_FOLDER)/sluice.1 $(BASH_FOLDER)/sluice $(ZSH_FOLDER)/_sluice \
	$(FISH_FOLDER)/sluice.fish $(UNIT_FOLDER)/sluice.service $(SCHEMA_FOLDER)/sluice.schema.json

install: build
	@$(MAKE) --no-print-directory install-files

# The parser of the command line knows what a manual page and completions say. Its tool is built apart,
# from the sources that building the program has fetched.
made: $(PROGRAM)
	@mkdir -p $(MADE)
	@$(SWIFT) build --package-path .build/checkouts/$(PARSER) --scratch-path .build/manual --product generate-manual
	@.build/manual/debug/generate-manual $(PROGRAM) --output-directory $(MADE) \
	  --date "$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F)" > /dev/null
	@sed -i -e '/^\.Sh "EXIT STATUS"/,$$d' -e 's/^$$/.Pp/' $(MADE)/sluice.1 && cat docs/packaging/manual-tail.mdoc >> $(MADE)/sluice.1
	@for shell in bash zsh fish; do \
	  $(PROGRAM) --generate-completion-script $$shell > $(MADE)/completion.$$shell || exit 1; done
	@$(PROGRAM) schema > $(MADE)/sluice.schema.json
	@sed 's|/usr/local/bin/|$(PREFIX)/bin/|' docs/sluice.service > $(MADE)/sluice.service

install-files: made
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/sluice
	$(STRIP) $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 0644 $(MADE)/sluice.1 $(DESTDIR)$(MAN_FOLDER)/sluice.1
	install -D -m 0644 $(MADE)/completion.bash $(DESTDIR)$(BASH_FOLDER)/sluice
	install -D -m 0644 $(MADE)/completion.zsh $(DESTDIR)$(ZSH_FOLDER)/_sluice
	install -D -m 0644 $(MADE)/completion.fish $(DESTDIR)$(FISH_FOLDER)/sluice.fish
	install -D -m 0644 $(MADE)/sluice.service $(DESTDIR)$(UNIT_FOLDER)/sluice.service
	install -D -m 0644 $(MADE)/sluice.schema.json $(DESTDIR)$(SCHEMA_FOLDER)/sluice.schema.json

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	-rmdir $(DESTDIR)$(SCHEMA_FOLDER) 2> /dev/null

# A package of the same.
deb: build deb-packages
	docs/packaging/build-deb.sh $(PROGRAM) .build/dist

# What a machine without Swift needs: a tarball, a package, and the sums to check both by.
dist: deb
	docs/packaging/build-tarball.sh $(PROGRAM) .build/dist
	@cd .build/dist && sha256sum sluice-*.tar.gz sluice_*.deb > SHA256SUMS && cat SHA256SUMS

deb-packages:
	$(call install_missing,$(DEB_PACKAGES))

# In a root of its own; it and the build take minutes, so `make test` does without.
deb-test: deb
	$(call install_missing,$(DEB_TEST_PACKAGES))
	docs/packaging/test-deb.sh .build/dist/sluice_*.deb

clean:
	rm -rf .build
