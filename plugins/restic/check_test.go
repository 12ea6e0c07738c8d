package restic_test

import (
	"strings"
	"testing"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/plugins/restic"
)

func TestCheckScope(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	for i := range 4 { // four data packs and four of trees
		write(t, r.source+"/more", noise(byte(10+i), 50_000))
		r.backup(t)
	}
	packs := float64(len(r.files(t, "data")))
	for subset, want := range map[string]func(float64) bool{
		"":      func(s float64) bool { return s == 0 },
		"100%":  func(s float64) bool { return s == 1 },
		"1/1":   func(s float64) bool { return s == 1 },
		"1%":    func(s float64) bool { return s == 1/packs }, // one pack is the least
		"50%":   func(s float64) bool { return s == 0.5 },
		"1000":  func(s float64) bool { return s == 1/packs },
		"10GiB": func(s float64) bool { return s == 1 },
	} {
		t.Run(subset, func(t *testing.T) {
			t.Parallel()
			more := map[string]any{"read_data_subset": subset}
			if subset == "" {
				more = nil
			}
			o, err := r.observe(t, "restic.check", more)
			expect(t, o, err, holdfast.OK, "")
			if o.Verification == nil || !want(o.Verification.Scope) || o.Verification.Errors != 0 || o.Verification.Time.IsZero() {
				t.Errorf("got %+v of %v packs", o.Verification, packs)
			}
		})
	}
}

func TestSubsetArgument(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want, err string }{
		{"", "", ""},
		{"5%", "--read-data-subset=5%", ""},
		{"2.5%", "--read-data-subset=2.5%", ""},
		{"100%", "--read-data", ""},
		{"1/7", "--read-data-subset=1/7", ""},
		{"2GiB", "--read-data-subset=2097152K", ""},
		{"1", "--read-data-subset=1K", ""},
		{"0%", "", "write a share"},
		{"101%", "", "write a share"},
		{"NaN%", "", "write a share"},
		{"8/7", "", "write a part"},
		{"0/7", "", "write a part"},
		{"1/257", "", "write a part"},
		{"all", "", "neither a share"},
		{"0", "", "neither a share"},
		{"--with-cache", "", "neither a share"},
	} {
		got, err := restic.SubsetArgument(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %q, %v, want %q, %q", c.in, got, err, c.want, c.err)
		}
	}
}
