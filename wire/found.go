package wire

import (
	"fmt"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// FromFound writes the databases that an agent found for the wire.
func FromFound(f holdfast.Found) *wirepb.Found {
	m := &wirepb.Found{At: fromTime(f.At)}
	for _, place := range f.Unread {
		m.Unread = append(m.Unread, text(place))
	}
	for _, d := range f.Databases {
		x := &wirepb.FoundDatabase{Kind: text(d.Kind), Name: text(d.Name), Version: text(d.Version), Path: text(d.Path), Port: uint32(max(d.Port, 0)),
			Socket: text(d.Socket), Running: d.Running, Container: text(d.Container), Bytes: int64(d.Bytes), More: d.More}
		for _, seen := range d.Seen {
			x.Seen = append(x.Seen, text(seen))
		}
		m.Databases = append(m.Databases, x)
	}
	return m
}

// ToFound reads the databases that an agent found. A kind of a later version is
// left out.
func ToFound(m *wirepb.Found) (holdfast.Found, error) {
	f := holdfast.Found{At: toTime(m.GetAt()), Unread: m.GetUnread()}
	if n := len(m.GetDatabases()); n > holdfast.MaxFound {
		return f, fmt.Errorf("found %d databases, at most %d", n, holdfast.MaxFound)
	}
	for _, x := range m.GetDatabases() {
		if !holdfast.KnownDatabase(x.GetKind()) {
			continue
		}
		f.Databases = append(f.Databases, holdfast.FoundDatabase{Kind: x.GetKind(), Name: x.GetName(), Version: x.GetVersion(), Path: x.GetPath(), Port: int(x.GetPort()),
			Socket: x.GetSocket(), Running: x.GetRunning(), Container: x.GetContainer(), Bytes: holdfast.Bytes(x.GetBytes()), More: x.GetMore(), Seen: x.GetSeen()})
	}
	if err := f.Validate(); err != nil {
		return f, fmt.Errorf("found: %w", err)
	}
	return f, nil
}
