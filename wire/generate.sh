#!/bin/sh
# Generates wire/wirepb from the .proto files beside this script. Needs protoc
# (Debian: protobuf-compiler); the Go generators are built from tools/go.mod.
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd tools && go build -o "$bin" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc)
module=github.com/holdfast-monitor/holdfast
PATH="$bin:$PATH" protoc \
	--go_out=. --go_opt=module=$module \
	--go-grpc_out=. --go-grpc_opt=module=$module \
	wire/observation.proto wire/plugin.proto wire/agents.proto
