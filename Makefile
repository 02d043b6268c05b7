# make without a target lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
PLUGINS := $(CURDIR)/.cache/bin
FUZZTIME ?= 1m
SEED ?= 1

# Nothing of the product needs cgo; the race detector does. RACE=1 builds with it.
export CGO_ENABLED := $(if $(RACE),1,0)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/pushfleet, bin/pushctl, bin/pushsim and bin/pushdemo
	$(GO) build -trimpath $(if $(RACE),-race) -o bin/ ./cmd/...

.PHONY: test
test: ## run the tests that need nothing but Go
	$(GO) test ./...

.PHONY: race
race: ## the same with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

.PHONY: integration
integration: ## run the tests on a real Kafka, a real Redis and a Redis Cluster, started and stopped here (RACE=1: under the race detector)
	scripts/integration

.PHONY: chaos
chaos: build ## break everything around a fleet by the schedule of SEED and write docs/reports/chaos.md (half an hour; RACE=1: under the race detector)
	$(GO) build -o bin/ ./scripts/chaos
	bin/chaos -seed $(SEED) -report docs/reports/chaos.md

.PHONY: chaos-short
chaos-short: build ## the same in three minutes, without the page
	$(GO) build -o bin/ ./scripts/chaos
	bin/chaos -seed $(SEED) -short

.PHONY: demo
demo: ## tell the whole story on the embedded fleet, each step checked
	$(GO) run ./cmd/pushdemo

.PHONY: run
run: build ## keep the embedded fleet running
	bin/pushfleet dev

.PHONY: lint
lint: ## run the linter, the import arrows included (its first build takes minutes)
	$(TOOL) golangci-lint run ./...

.PHONY: pages
pages: ## write docs/topics.md and docs/http.md of the specifications anew
	$(GO) run ./scripts/render

.PHONY: generate
generate: pages ## the same, and the Go code of the schemas (needs protoc)
	@command -v protoc >/dev/null || { echo "no protoc; Debian's package is protobuf-compiler" >&2; exit 1; }
	$(GO) build -modfile=tools/go.mod -o $(PLUGINS)/ google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
	PATH="$(PLUGINS):$$PATH" protoc --proto_path=schemas/v1 \
		--go_out=schemas/v1 --go_opt=paths=source_relative \
		--go-vtproto_out=schemas/v1 --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size \
		schemas/v1/*.proto

.PHONY: specs
specs: ## check that the AsyncAPI document is valid (needs node and npm)
	npm --prefix tools/asyncapi ci --ignore-scripts --no-audit --no-fund --silent
	npm --prefix tools/asyncapi run --silent check

.PHONY: fuzz
fuzz: ## fuzz every fuzz test for FUZZTIME (1m)
	@grep -rEo --include='*_test.go' '^func Fuzz\w+' cmd pkg schemas workers | sed 's/:func / /' | while read -r file name; do \
		echo "$$name in $${file%/*}"; \
		$(GO) test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1s "./$${file%/*}"; \
	done

.PHONY: bench
bench: ## measure every figure of the project and print them in one table (at most 20 minutes; needs nghttp2-client for one row)
	@$(GO) run ./scripts/bench

.PHONY: profile
profile: ## print where the microseconds of a push go, step by step (two minutes)
	@$(GO) run ./scripts/profile

.PHONY: soak
soak: build ## watch memory under load and while a million records wait, and how fast lag goes after an outage (25 minutes, an idle machine)
	$(GO) run ./scripts/soak -report docs/reports/soak.md

.PHONY: kafka-cost
kafka-cost: ## measure a real broker's CPU per request (6 minutes on an idle machine)
	scripts/kafka/run $(GO) run ./scripts/kafka/cost
