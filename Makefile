# `make help` lists what can be made.
SHELL   := /bin/bash
BIN     := bin
GO      := go
# grpcnotrace: gRPC's pages for x/net/trace hold templates, for which the linker keeps every exported method there is.
export GOFLAGS := -buildvcs=false -trimpath -tags=grpcnotrace
export CGO_ENABLED ?= 0
DAEMONS := apiserver scheduler controller-manager kubelet proxy ctl
IMAGES  := pause apiserver scheduler controller-manager proxy coredns flannel web
SOURCES  = $(shell find cmd pkg api manifests -name '*.go' -o -name '*.yaml' -o -name '*.json' 2>/dev/null) go.mod go.sum

# The version that images carry is the one that the apiserver serves.
VERSION := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' pkg/daemon/version.go)
# What containerd asks for as a pod's sandbox: make images PAUSE=registry.k8s.io/pause:3.6 names it so.
PAUSE   ?= registry.k8s.io/pause:3.10

DESTDIR ?=
PREFIX  ?= /usr/local
# Where containerd looks for network plugins: Debian's package says /usr/lib/cni, most others /opt/cni/bin.
CNI_BIN ?= $(firstword $(wildcard /usr/lib/cni) /opt/cni/bin)

# kubectl's commands compare their version with the server's: say which one they are of.
client-version = $(foreach p,component-base/version client-go/pkg/version,$(foreach f,gitVersion=$(1) gitMajor=1 gitMinor=36 gitTreeState=clean,-X k8s.io/$(p).$(f)))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(DAEMONS:%=$(BIN)/%) ## build the five daemons and ctl into bin/

$(BIN)/%: $(SOURCES)
	@mkdir -p $(BIN)
	$(GO) build -p 2 -ldflags '-s -w $(call client-version,$(VERSION))' -o $@ ./cmd/$*

# Programs that are built from this module but are no daemon.
$(BIN)/pause: $(wildcard build/pause/*.go build/pause/program/*) ; @mkdir -p $(BIN)
	$(GO) run ./build/pause -o $@
$(BIN)/image: $(wildcard build/image/*.go) go.mod ; @mkdir -p $(BIN)
	$(GO) build -p 2 -ldflags '-s -w' -o $@ ./build/image
$(BIN)/get: $(wildcard test/e2e/get/*.go) ; @mkdir -p $(BIN)
	$(GO) build -p 2 -ldflags '-s -w' -o $@ ./test/e2e/get
$(BIN)/web: $(wildcard examples/web/server/*.go) ; @mkdir -p $(BIN)
	$(GO) build -p 2 -ldflags '-s -w' -o $@ ./examples/web/server

# Programs of others, each in a module of its own so that go.mod stays this project's.
module = cd build/$(1) && $(GO) build -p 2 -ldflags '-s -w $(3)' -o $(abspath $@) $(2)
$(BIN)/coredns: $(wildcard build/coredns/*) ; @mkdir -p $(BIN)
	$(call module,coredns,.)
$(BIN)/flanneld: $(wildcard build/flannel/go.* build/flannel/flanneld/*) ; @mkdir -p $(BIN)
	$(call module,flannel,./flanneld)
$(BIN)/flannel: $(wildcard build/flannel/go.* build/flannel/plugin/*) ; @mkdir -p $(BIN)
	$(call module,flannel,./plugin)
$(BIN)/etcd: $(wildcard build/etcd/*) ; @mkdir -p $(BIN)
	$(call module,etcd,.)
out/tools/kwok: $(wildcard test/others/go.*) ; @mkdir -p out/tools
	cd test/others && $(GO) build -p 2 -ldflags '-s -w' -o $(abspath $@) sigs.k8s.io/kwok/cmd/kwok
out/machine/debian.img: test/machine/image .ci/packages
	test/machine/image $@
out/tools/kubectl: $(wildcard build/kubectl/*) ; @mkdir -p out/tools
	$(call module,kubectl,.,$(call client-version,v1.36.6))

.PHONY: images
images: $(IMAGES:%=out/images/%.tar) ## pack the container images into out/images/

.PHONY: test-tools
test-tools: $(BIN)/etcd out/tools/kubectl out/tools/kwok out/images/test.tar out/machine/debian.img ## build etcd, an unmodified kubectl, kwok, and the images of a pod and of a machine for tests

# What each image holds; build/image/images.go says more.
$(foreach i,pause apiserver scheduler controller-manager proxy coredns web,$(eval out/images/$(i).tar: $(BIN)/$(i)))
out/images/test.tar: $(BIN)/get
out/images/flannel.tar: $(BIN)/flanneld $(BIN)/flannel
out/images/%.tar: $(BIN)/image
	$(BIN)/image -bin $(BIN) -o out/images -version $(VERSION) -name pause=$(PAUSE) $*

.PHONY: install
install: build images ## install programs, images, units and the network plugin (DESTDIR, PREFIX, CNI_BIN)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/sampan/images $(DESTDIR)$(CNI_BIN)
	install -m 0755 $(DAEMONS:%=$(BIN)/%) $(DESTDIR)$(PREFIX)/bin
	for d in apiserver scheduler controller-manager proxy; do ln -sf $$d $(DESTDIR)$(PREFIX)/bin/kube-$$d; done
	ln -sf ctl $(DESTDIR)$(PREFIX)/bin/kubectl
	install -m 0644 $(IMAGES:%=out/images/%.tar) $(DESTDIR)$(PREFIX)/share/sampan/images
	install -m 0755 $(BIN)/flannel $(DESTDIR)$(CNI_BIN)/flannel
	cd manifests/systemd && for u in $$(find . -type f -name '*.service' -o -type f -name '*.conf'); do \
		install -D -m 0644 $$u $(DESTDIR)$(PREFIX)/lib/systemd/system/$$u && \
		sed -i 's|/usr/bin/|$(PREFIX)/bin/|' $(DESTDIR)$(PREFIX)/lib/systemd/system/$$u; done

.PHONY: up
up: ## make a cluster of this machine, from nothing (as root; INIT gives further flags of ctl init)
	.ci/packages
	$(MAKE) build images
	$(BIN)/ctl init --taint-control-plane=false $(INIT)

.PHONY: down
down: $(BIN)/ctl ## remove the cluster and all that it left on this machine
	$(BIN)/ctl reset --force

.PHONY: test
test: test-packages lint build images test-tools ## everything that must hold: vet, lint, architecture, unit, API, oracle replay, kernels, clusters
	CGO_ENABLED=1 $(GO) test -p 2 -race -timeout 30m . ./api/... ./build/... ./cmd/... ./examples/... ./pkg/...
	cd build/flannel && $(GO) test -p 2 ./...
	cd test/others && $(GO) test ./...
	$(GO) test -p 1 -v -timeout 60m ./test/...

.PHONY: test-packages
test-packages:
	.ci/packages test

# How long each target of make fuzz runs.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## feed decoders, patches and queries with what nobody thought of, each for FUZZTIME (10m)
	SEED=$$(date +%s) $(GO) test -p 2 -count 1 $$(grep -rl --include='*_test.go' 'objecttest.Seed' pkg | xargs -n 1 dirname | sort -u | sed 's|^|./|')
	@set -e -o pipefail; grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' pkg | while IFS=: read -r file name; do \
		$(GO) test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; done

.PHONY: lint
lint: ## go vet, gofmt and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	$(GO) vet -p 2 ./...
	$(GO) tool -modfile=build/tools/go.mod staticcheck ./...

.PHONY: bench
bench: build $(BIN)/etcd ## measure: the API, start to ready, the idle cluster, pod starts (the last two need make up)
	test/bench/run

.PHONY: refresh-oracle
refresh-oracle: ## copy recorded answers and benchmarks anew from ../shared, where that is there
	test/oracle/refresh

.PHONY: openapi
openapi: ## make the embedded API schemas anew, after an update of k8s.io/api
	$(GO) run ./build/openapi -o pkg/apiserver/openapi/definitions.json.gz

.PHONY: compare-openapi
compare-openapi: ## print where a server's OpenAPI documents are not the recorded ones: SERVER=https://... TOKEN=... FROM=folder
	$(GO) run ./test/oracle/openapi -server $(SERVER) -token $(TOKEN) $(or $(FROM),../shared/oracle/openapi)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) out
