# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a Debian machine with a Swift toolchain: `make run` and `make test`.

SHELL := /bin/bash
SWIFT ?= swift
RUN_PACKAGES := libc-ares-dev libqrencode-dev libssl-dev
TEST_PACKAGES := $(RUN_PACKAGES) ca-certificates chromium curl dnsmasq-base faketime firefox-esr fish gcc gnutls-bin \
	haproxy iproute2 libc6-dev libnss3-tools man-db nginx-light node-ws nodejs openssl p11-kit procps python3-venv \
	strace systemd zsh
DEB_PACKAGES := binutils debootstrap dpkg-dev

.PHONY: help run test build reference lint check-debug check-release bench-smoke fuzz sanitize \
	run-packages test-packages \
	static made install install-files uninstall deb deb-packages deb-test clean

help:
	@echo 'make run      build, make certificates, start an echo app and Sluice in front of it'
	@echo 'make test     everything that is checked: format, debug and release builds, all tests'
	@echo 'make reference  write the tables of docs/configuration.md from the declared keys'
	@echo 'make fuzz     the fuzzer on all targets; `SECONDS=600` for longer, `TARGET=request-head` for one'
	@echo 'make sanitize  the unit tests under the address sanitizer'
	@echo 'make install  program, manual, completions and unit below $$PREFIX (default /usr/local)'
	@echo 'make uninstall  take them away again'
	@echo 'make deb      a Debian package in .build; `make deb-test` installs, runs and removes it'

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

build: run-packages
	$(SWIFT) build -c release --product sluice

run: build
	@certs/make-certs.sh
	@certs/run-demo.sh

test: lint check-debug check-release bench-smoke
	@echo 'everything passed'

# The tables of docs/configuration.md, from the declarations of the keys.
reference: test-packages
	SLUICE_REFERENCE=write $(SWIFT) test --filter ConfigTests.ReferenceTests

lint:
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

check-debug: test-packages
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	@set -o pipefail; $(SWIFT) test --skip-build --parallel 2>&1 | tee .build/test.log \
		|| { echo; echo 'What failed:'; grep -A3 -E '^✘ .*(recorded an issue|expectation failed)|Fatal error' .build/test.log; exit 1; }

check-release: test-packages
	$(SWIFT) build -c release

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
# checker needs to trace the process, which containers forbid.
sanitize: test-packages
	$(SWIFT) build $(SANITIZED) --build-tests --sanitize=address -Xswiftc -use-ld=lld
	@set -o pipefail; ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test $(SANITIZED) --skip-build --sanitize=address -Xswiftc -use-ld=lld \
	  --skip 'IntegrationTests|LayoutTests' 2>&1 | tee .build-fuzz/sanitize.log \
	  || { echo; echo 'What failed:'; grep -A3 -E '^✘ .*(recorded an issue|expectation failed)|Fatal error|AddressSanitizer' .build-fuzz/sanitize.log; exit 1; }
	@echo; echo 'Skipped here:'; grep -E '^➜ .* skipped' .build-fuzz/sanitize.log

PREFIX ?= /usr/local
# What is installed: built here, with the Swift libraries within, so that it runs where there is no
# toolchain; or a program that is there already.
PROGRAM ?= .build/static/release/sluice
STATIC := -c release --static-swift-stdlib --scratch-path .build/static
PARSER := swift-argument-parser
MADE := .build/install

BASH_FOLDER ?= $(PREFIX)/share/bash-completion/completions
ZSH_FOLDER ?= $(PREFIX)/share/zsh/site-functions
FISH_FOLDER ?= $(PREFIX)/share/fish/vendor_completions.d
MAN_FOLDER ?= $(PREFIX)/share/man/man1
UNIT_FOLDER ?= $(PREFIX)/lib/systemd/system
INSTALLED = $(PREFIX)/bin/sluice $(MAN_FOLDER)/sluice.1 $(BASH_FOLDER)/sluice $(ZSH_FOLDER)/_sluice \
	$(FISH_FOLDER)/sluice.fish $(UNIT_FOLDER)/sluice.service

install: static
	@$(MAKE) --no-print-directory install-files

static: run-packages
	$(SWIFT) build $(STATIC) --product sluice

# The parser of the command line knows what a manual page and completions say. Its tool is built apart,
# from the sources that building the program has fetched.
made: $(PROGRAM)
	@mkdir -p $(MADE)
	@sources=$$(ls -d .build/checkouts/$(PARSER) .build/static/checkouts/$(PARSER) 2>/dev/null | head -1); \
	  $(SWIFT) build --package-path $$sources --scratch-path .build/manual --product generate-manual
	@.build/manual/debug/generate-manual $(PROGRAM) --output-directory $(MADE) \
	  --date "$$(date -u -d @$${SOURCE_DATE_EPOCH:-$$(date +%s)} +%F)" > /dev/null
	@sed -i '/^\.Sh "EXIT STATUS"/,$$d' $(MADE)/sluice.1 && cat docs/packaging/manual-tail.mdoc >> $(MADE)/sluice.1
	@for shell in bash zsh fish; do \
	  $(PROGRAM) --generate-completion-script $$shell > $(MADE)/completion.$$shell || exit 1; done
	@sed 's|/usr/local/bin/|$(PREFIX)/bin/|' docs/sluice.service > $(MADE)/sluice.service

install-files: made
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 0644 $(MADE)/sluice.1 $(DESTDIR)$(MAN_FOLDER)/sluice.1
	install -D -m 0644 $(MADE)/completion.bash $(DESTDIR)$(BASH_FOLDER)/sluice
	install -D -m 0644 $(MADE)/completion.zsh $(DESTDIR)$(ZSH_FOLDER)/_sluice
	install -D -m 0644 $(MADE)/completion.fish $(DESTDIR)$(FISH_FOLDER)/sluice.fish
	install -D -m 0644 $(MADE)/sluice.service $(DESTDIR)$(UNIT_FOLDER)/sluice.service

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))

# A package of the same, in .build.
deb: static deb-packages
	docs/packaging/build-deb.sh .build/static/release/sluice .build

deb-packages:
	$(call install_missing,$(DEB_PACKAGES))

# In a root of its own; it and the build take minutes, so `make test` does without.
deb-test: deb
	docs/packaging/test-deb.sh .build/sluice_*.deb

clean:
	rm -rf .build
