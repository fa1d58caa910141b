# The ways in. Each target does all the set-up it needs (Debian 12; elsewhere install what tools/setup prints and add
# SETUP=true); the work itself is in tools/.

SETUP ?= tools/setup

.PHONY: help setup demo test bench lint tidy format
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: ## install the packages that building needs
	@$(SETUP)

demo: ## build and run the flights job: 20,000 real flights through durable actors while the node is killed
	@$(SETUP)
	@tools/demo

test: ## everything that must pass: lint, all tests under sanitizers, a hostile machine, planted bugs, demo, kill loop
	@$(SETUP)
	@tools/test

bench: ## build optimised and measure beside the Erlang peer (CAF_PREFIX=... adds CAF)
	@$(SETUP) bench
	@tools/bench

lint: ## rules of the sources and their format (seconds)
	@tools/lint

tidy: ## clang-tidy over everything (builds the dev preset first; minutes)
	@tools/tidy

format: ## rewrite the sources in the project's format
	@tools/lint format --fix
