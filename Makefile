# Two commands matter: make demo, make test. Both install what they need.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
BUILD   := $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
DATA    ?= demo-data
LISTEN  ?= 127.0.0.1:8480
TOOL    := $(GO) tool -modfile=tools/go.mod

export CGO_ENABLED ?= 0

.PHONY: demo build test check lint soak bench generate

demo: build ## a small estate on this machine: two agents, six services, real backups
	@deploy/install-tools restic || true
	@bin/holdfast demo --data $(DATA) --listen $(LISTEN) --scenario live

build: ## bin/holdfast
	@$(BUILD) -o bin/holdfast ./cmd/holdfast

test: ## everything, under the race detector, against the real tools
	@deploy/install-tools restic borgbackup gcc libc6-dev prometheus prometheus-alertmanager strace systemd chromium curl monitoring-plugins-basic rsync rclone btrfs-progs zstd glewlwyd sqlite3 mariadb-server redis-server postgresql pgbackrest barman
	@CGO_ENABLED=1 $(GO) test -race ./...

lint: ## format, vet, static analysis, generated code
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@$(GO) vet ./...
	@$(TOOL) staticcheck ./...
	@deploy/install-tools protobuf-compiler && sh wire/generate.sh && git diff --exit-code --stat wire/wirepb

check: lint test

soak: ## the long tests: whole rounds of the demo, from a terminal and in a browser; a restore of 2 GiB beside other checks
	@deploy/install-tools restic gcc libc6-dev chromium
	@CGO_ENABLED=1 $(GO) test -race -tags soak -timeout 30m -run 'TestDemoRound|TestDemoInBrowser|TestRestoreBesideOthers' ./cmd/holdfast

bench: build ## judging 10,000 services from scratch and one again, an agent's footprint, ingest changing and quiet
	@$(GO) test -run '^$$' -bench . -benchmem ./collector/score ./collector/store/bolt ./agent
	@for quiet in false true; do dir=$$(mktemp -d) && bin/holdfast bench ingest --data "$$dir/b" --duration 30s --unchanged=$$quiet && rm -r "$$dir" || exit 1; done

generate: ## protocol code, Grafana dashboards and their README, the README's picture
	@deploy/install-tools protobuf-compiler chromium
	@sh wire/generate.sh
	@$(GO) test -count=1 ./dashboards -run Generated -update
	@dir=$$(mktemp -d) && $(GO) test -count=1 ./collector/web -run Browser/pictures -shots "$$dir" && cp "$$dir/overview-1440-light.png" deploy/overview.png && rm -r "$$dir"
