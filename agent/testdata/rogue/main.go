// Command rogue is a plugin that was not built with the SDK: it shakes hands, and
// then answers with bytes that are no answer.
package main

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec wrapped below
	"google.golang.org/grpc/mem"

	"github.com/holdfast-monitor/holdfast/plugins/probe"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: probe.Handshake,
		Plugins:         plugin.PluginSet{"probes": rogue{}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.ForceServerCodecV2(garbler{encoding.GetCodecV2("proto")}))...)
		},
	})
}

type rogue struct {
	plugin.NetRPCUnsupportedPlugin
	wirepb.UnimplementedPluginServer
}

func (r rogue) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	wirepb.RegisterPluginServer(g, r)
	return nil
}

func (rogue) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

func (rogue) Describe(context.Context, *wirepb.DescribeRequest) (*wirepb.DescribeResponse, error) {
	return &wirepb.DescribeResponse{Probes: []*wirepb.Description{{Name: "rogue.garbage", Cost: "cheap", SettingsSchema: "{}"}}}, nil
}

func (rogue) Observe(_ *wirepb.ObserveRequest, stream grpc.ServerStreamingServer[wirepb.ObserveResponse]) error {
	return stream.Send(&wirepb.ObserveResponse{})
}

// garbler spoils the answers of Observe.
type garbler struct{ encoding.CodecV2 }

func (g garbler) Marshal(v any) (mem.BufferSlice, error) {
	if _, ok := v.(*wirepb.ObserveResponse); ok {
		return mem.BufferSlice{mem.SliceBuffer("\x0a\xff\xff\xff\xff\x0fgarbage")}, nil
	}
	return g.CodecV2.Marshal(v)
}
