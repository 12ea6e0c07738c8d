package holdfast_test

import (
	"slices"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestTargetOf(t *testing.T) {
	for _, c := range []struct {
		probe    string
		target   []string
		settings holdfast.Settings
		want     string
	}{
		{"restic.repository", []string{"repository"}, `{"password_file":"/k","repository":"/srv/r","tag":"a"}`, "restic repository=/srv/r"},
		{"restic.check", []string{"repository"}, `{"read_data_subset":"100%","repository":"/srv/r"}`, "restic repository=/srv/r"},
		{"net.dns", []string{"name", "type", "server"}, `{"name":"a.example"}`, "net name=a.example"},
		{"host.clock", nil, ``, "host"},
		{"odd.one", []string{"x"}, `not JSON`, "odd not JSON"},
	} {
		d := holdfast.Description{Name: c.probe, Target: c.target}
		if got := d.TargetOf(c.settings); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.probe, c.settings, got, c.want)
		}
	}
}

func TestPathsOf(t *testing.T) {
	d := holdfast.Description{Paths: []string{"repository", "sources", "absent"}}
	for settings, want := range map[holdfast.Settings][]string{
		`{"repository":"/srv/r","sources":["/a","b",7,"/c"],"other":"/x"}`: {"/srv/r", "/a", "/c"},
		`{"repository":"sftp:host:/srv/r"}`:                                nil,
		`{"repository":7}`:                                                 nil,
		``:                                                                 nil,
		`not JSON`:                                                         nil,
	} {
		if got := d.PathsOf(settings); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", settings, got, want)
		}
	}
}
