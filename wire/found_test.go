package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

func TestFoundEveryField(t *testing.T) {
	var want holdfast.Found
	var n int64
	fill(reflect.ValueOf(&want).Elem(), &n)
	for i := range want.Databases {
		want.Databases[i].Kind = holdfast.Redis
	}
	m := wire.FromFound(want)
	allSet(t, m.ProtoReflect())
	got, err := wire.ToFound(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found databases change on the wire (-want +got):\n%s", diff)
	}
}

func TestFoundIsBounded(t *testing.T) {
	one := func(d *wirepb.FoundDatabase) *wirepb.Found {
		return &wirepb.Found{Databases: []*wirepb.FoundDatabase{d}}
	}
	long := strings.Repeat("x", holdfast.MaxText+1)
	for name, m := range map[string]*wirepb.Found{
		"too many":       {Databases: make([]*wirepb.FoundDatabase, holdfast.MaxFound+1)},
		"a long place":   {Unread: []string{long}},
		"many places":    {Unread: make([]string, holdfast.MaxUnread+1)},
		"a long path":    one(&wirepb.FoundDatabase{Kind: "redis", Path: long}),
		"a long backup":  one(&wirepb.FoundDatabase{Kind: "redis", Seen: []string{long}}),
		"many backups":   one(&wirepb.FoundDatabase{Kind: "redis", Seen: make([]string, 9)}),
		"no port":        one(&wirepb.FoundDatabase{Kind: "redis", Port: 1 << 16}),
		"less than none": one(&wirepb.FoundDatabase{Kind: "redis", Bytes: -1}),
		"no text":        one(&wirepb.FoundDatabase{Kind: "redis", Name: "\xff"}),
	} {
		if f, err := wire.ToFound(m); err == nil {
			t.Errorf("%s was taken: %+v", name, f)
		}
	}
	if f, err := wire.ToFound(one(&wirepb.FoundDatabase{Kind: "of a later version"})); err != nil || len(f.Databases) != 0 {
		t.Errorf("a kind of a later version: got %+v, %v, want none", f, err)
	}
}
