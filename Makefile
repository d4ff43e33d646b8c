# `make help` lists what can be made.
SHELL   := /bin/bash
BIN     := bin
GO      := go
export GOFLAGS := -buildvcs=false -trimpath
export CGO_ENABLED ?= 0
DAEMONS := apiserver scheduler controller-manager kubelet proxy ctl
SOURCES  = $(shell find cmd pkg api build manifests -name '*.go' -o -name '*.yaml' -o -name '*.s' 2>/dev/null) go.mod go.sum

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(DAEMONS:%=$(BIN)/%) ## build the five daemons and ctl into bin/

$(BIN)/%: $(SOURCES)
	@mkdir -p $(BIN)
	$(GO) build -p 2 -ldflags '-s -w' -o $@ ./cmd/$*

.PHONY: test
test: lint ## everything that must hold: vet, lint, architecture, unit, API, oracle replay, kernels
	CGO_ENABLED=1 $(GO) test -p 2 -race -timeout 30m . ./api/... ./build/... ./cmd/... ./pkg/...
	$(GO) test -p 1 -timeout 30m ./test/...

.PHONY: lint
lint: ## go vet, gofmt and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	$(GO) vet -p 2 ./...
	$(GO) tool -modfile=build/tools/go.mod staticcheck ./...

.PHONY: bench
bench: ## measure the pure cores with Go's benchmarks
	$(GO) test -p 1 -run '^$$' -bench . -benchmem ./pkg/...

.PHONY: refresh-oracle
refresh-oracle: ## copy recorded answers and benchmarks anew from ../shared, where that is there
	test/oracle/refresh

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) out
