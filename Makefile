# SPDX-License-Identifier: Apache-2.0
# Two commands do everything on a Debian machine with a Swift toolchain: `make run` and `make test`.

SHELL := /bin/bash
SWIFT ?= swift
RUN_PACKAGES := libc-ares-dev libssl-dev
TEST_PACKAGES := $(RUN_PACKAGES) ca-certificates chromium curl dnsmasq-base gcc haproxy libc6-dev libnss3-tools openssl procps \
	python3-venv strace systemd

.PHONY: help run test build lint check-debug check-release bench-smoke run-packages test-packages \
	install clean

help:
	@echo 'make run      build, make certificates, start an echo app and Sluice in front of it'
	@echo 'make test     everything that is checked: format, debug and release builds, all tests'
	@echo 'make install  put the program into $$PREFIX/bin (default /usr/local)'

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

lint:
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

check-debug: test-packages
	$(SWIFT) build --build-tests --explicit-target-dependency-import-check error
	$(SWIFT) test --skip-build --parallel

check-release: test-packages
	$(SWIFT) build -c release

bench-smoke: check-release
	benchmarks/smoke

PREFIX ?= /usr/local
# With the Swift libraries within, so that it runs where there is no toolchain.
install: run-packages
	$(SWIFT) build -c release --product sluice --static-swift-stdlib --scratch-path .build/static
	install -D -m 0755 .build/static/release/sluice $(DESTDIR)$(PREFIX)/bin/sluice

clean:
	rm -rf .build
