package ingest_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// BenchmarkReports streams reports of 50 unchanged results over mutual TLS, 16
// outstanding. The CPU is that of both ends; the sending one sends bytes made
// beforehand.
func BenchmarkReports(b *testing.B) {
	var checks []string
	var all []holdfast.Observation
	for i := range 50 {
		checks = append(checks, fmt.Sprintf("service/path/check-%02d", i))
		all = append(all, holdfast.Observation{Outcome: holdfast.OK, Summary: "fine", Capacity: &holdfast.Capacity{Needed: 1 << 30, Free: 1 << 33},
			Measures: []holdfast.Measure{{Name: "used", Value: 0.5, Unit: "ratio"}, {Name: "free", Value: 1e9, Unit: "bytes"}}})
	}
	co := newCore(checks...)
	co.answer = func(r *ingest.Report) bool { r.Done(nil); return true }
	c := start(b, co, func(c *ingest.Config) { c.ReportsPerSecond = 1e9 })
	h := c.join(b, "db1")
	conn := h.conn(b, h.tls(b))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, wirepb.Agents_Session_FullMethodName, grpc.ForceCodecV2(rawCodec{encoding.GetCodecV2("proto")}))
	if err != nil {
		b.Fatal(err)
	}
	send := func(m any) {
		if err := stream.SendMsg(m); err != nil {
			b.Fatal(err)
		}
	}
	recv := func() *wirepb.Down {
		var m wirepb.Down
		if err := stream.RecvMsg(&m); err != nil {
			b.Fatal(err)
		}
		return &m
	}
	send(&wirepb.Up{Message: &wirepb.Up_Hello{Hello: &wirepb.Hello{WireVersion: wire.Version, Machine: "m", Epoch: 1, Assignment: "v1"}}})
	send(&wirepb.Up{Message: &wirepb.Up_Pong{Pong: &wirepb.Pong{Echo: recv().GetWelcome().GetNow(), Now: time.Now().UnixNano()}}})
	r := (&talk{t: b}).report(all...)
	for i := range r.Results {
		r.Results[i].Body = nil
	}
	raw, err := proto.Marshal(&wirepb.Up{Message: &wirepb.Up_Report{Report: r}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	before := cpu()
	outstanding := 0
	for b.Loop() {
		for outstanding >= wire.Window {
			outstanding -= len(recv().GetAck().GetSeqs())
		}
		send(raw)
		outstanding++
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rawCodec sends bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}
