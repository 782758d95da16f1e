# Everything that builds, checks and measures sspurn. "make help" lists it.

GO       ?= go
FUZZTIME ?= 30s
BENCH    ?= .
COUNT    ?= 1
FAILURES ?= 20
SIM      ?= 50
PAIRS    ?= 20
ROUNDS   ?= 4
PEERS    ?=
SHELL    := /bin/sh

# Programs are staged to other hosts, so they must not need this machine's libc.
export CGO_ENABLED ?= 0

APPS = $(shell $(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./apps/...)
# Tests of real processes: alone, since they measure how fast a job ends.
PROCESS_TESTS = -alone ./launcher/sspurn -alone ./scripts/testbed/...

.PHONY: help build testbed test race failures fuzz sim big bench generate check experiments overhead bench-peers demo clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

build: ## sspurn and every app, into bin/
	@mkdir -p bin
	$(GO) build -trimpath -o bin/ ./launcher/sspurn $(APPS)

testbed: ## bin/testbed: hosts on this machine, to run jobs over (Linux, root)
	$(GO) build -trimpath -o bin/ ./scripts/testbed/cmd/testbed

demo: build ## topics of Go's own comments, under four settings, on this machine
	$(GO) run ./scripts/demo

test: ## all tests; installs what they need (root, Debian), counts what was skipped
	@sh scripts/install.sh sshd=openssh-server ssh=openssh-client ip=iproute2 ps=procps chromium=chromium
	@$(GO) run ./scripts/gotest $(if $(V),-v) -timeout=8m $(PROCESS_TESTS) ./...

race: ## all tests under the race detector; installs gcc, which that needs
	@sh scripts/install.sh -required gcc=gcc,libc6-dev sshd=openssh-server ssh=openssh-client ip=iproute2 ps=procps chromium=chromium
	@CGO_ENABLED=1 $(GO) run ./scripts/gotest $(if $(V),-v) -race -timeout=15m $(PROCESS_TESTS) ./...

failures: ## FAILURES (20) jobs over ssh, each hit at a random moment; SEED repeats a run
	@sh scripts/install.sh sshd=openssh-server ssh=openssh-client ip=iproute2
	FAILURES=$(FAILURES) SEED=$(SEED) $(GO) test -count=1 -v -timeout 30m -run TestRandomFailures ./scripts/testbed/jobs

fuzz: ## every fuzz target for FUZZTIME (30s)
	@sh scripts/fuzz.sh $(FUZZTIME)

sim: ## seeded simulations with SIM (50) times as many seeds as the tests use
	SSPURN_SIM=$(SIM) $(GO) test -count=1 -timeout 60m $$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | sed -n 's/ .*runtimetest\/seeds.*//p')

big: ## messages of more than 2^31 elements; takes 11 GiB of memory
	SSPURN_BIG=1 $(GO) test -count=1 -timeout 20m -run Big ./runtime

bench: ## benchmarks that match BENCH (.), COUNT (1) times
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

experiments: build ## the papers' experiments, each figure beside what is expected; table and picture in out/
	@mkdir -p out
	$(GO) run ./scripts/experiments -bin bin -picture out/experiments.svg -markdown out/experiments.md

overhead: build ## what records, metrics and traces cost: CPU of PAIRS (20) times ROUNDS (4) runs with and without
	$(GO) run ./scripts/overhead -bin bin -pairs $(PAIRS) -rounds $(ROUNDS)

bench-peers: build ## bin/bench beside Open MPI and MPICH, which it installs (root, Debian); PEERS adds flags and operations
	@sh scripts/install.sh -required mpicc.openmpi=openmpi-bin,libopenmpi-dev,gcc,libc6-dev mpicc.mpich=mpich,libmpich-dev,gcc,libc6-dev
	$(GO) run ./scripts/peers -bin bin $(PEERS)

generate: ## the assembly of linalg, from linalg/asm
	cd linalg/asm && $(GO) run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg linalg

check: bin/staticcheck ## formatting, vet, staticcheck, go.mod, other systems
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt -w:" $$bad; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags portable,noasm ./...
	bin/staticcheck ./...
	bin/staticcheck -tags portable,noasm ./...
	$(GO) mod tidy -diff
	cd scripts/tools && $(GO) mod tidy -diff
	$(GO) test -tags noasm ./linalg
	cd linalg/asm && $(GO) mod tidy -diff && $(GO) vet .
	cd linalg/asm && ../../bin/staticcheck . && $(GO) run . -out ../../bin/kernels-s -stubs ../../bin/kernels-go -pkg linalg
	@for f in s go; do [ "$$(sed 1d linalg/kernels_amd64.$$f)" = "$$(sed 1d bin/kernels-$$f)" ] || \
		{ echo "linalg/kernels_amd64.$$f is not what make generate writes"; exit 1; }; done
	GOOS=linux GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...

bin/staticcheck: scripts/tools/go.mod
	@mkdir -p bin
	cd scripts/tools && $(GO) build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

clean: ## remove bin/ and out/
	rm -rf bin out
