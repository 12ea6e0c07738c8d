package holdfast_test

import (
	"encoding/json"
	"testing"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

func TestParseDuration(t *testing.T) {
	for _, c := range []struct {
		in   string
		want time.Duration
		out  string
	}{
		{"0", 0, "0s"}, {"15m", 15 * time.Minute, "15m"}, {"1h30m", 90 * time.Minute, "1h30m"},
		{"1d", 24 * time.Hour, "1d"}, {"7d", 168 * time.Hour, "1w"}, {"90s", 90 * time.Second, "1m30s"},
		{"8d", 192 * time.Hour, "8d"}, {"180d", 180 * 24 * time.Hour, "180d"}, {"1y", 8760 * time.Hour, "1y"},
		{"1s500ms", 1500 * time.Millisecond, "1s500ms"},
	} {
		got, err := holdfast.ParseDuration(c.in)
		if err != nil || got.Std() != c.want || got.String() != c.out {
			t.Errorf("ParseDuration(%q): got %v %q, %v; want %v %q", c.in, got.Std(), got, err, c.want, c.out)
		}
	}
	for _, bad := range []string{"", "15", "m", "1.5h", "15 m", "-5m", "5m1h", "1h1h", "1x", "99999999999y", "1e3s"} {
		if got, err := holdfast.ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q): got %v, want an error", bad, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want holdfast.Bytes
		out  string
	}{
		{"0", 0, "0B"}, {"4096", 4096, "4KiB"}, {"200GiB", 200 << 30, "200GiB"}, {"1.5TB", 1.5e12, "1.4TiB"}, {"10 MB", 1e7, "9.5MiB"},
	} {
		got, err := holdfast.ParseBytes(c.in)
		if err != nil || got != c.want || got.String() != c.out {
			t.Errorf("ParseBytes(%q): got %d %q, %v; want %d %q", c.in, got, got, err, c.want, c.out)
		}
	}
	for _, bad := range []string{"", "GiB", "-1", "1e9", "0x10", "5 parsecs", "NaN", "Inf", "99999PiB", "1_000"} {
		if got, err := holdfast.ParseBytes(bad); err == nil {
			t.Errorf("ParseBytes(%q): got %v, want an error", bad, got)
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	in := []holdfast.Duration{0, holdfast.Day, -3 * holdfast.Duration(time.Minute), 400 * holdfast.Day, holdfast.Duration(1234567 * time.Millisecond)}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out []holdfast.Duration
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for i := range in {
		if in[i] != out[i] {
			t.Errorf("round trip of %v: got %v", in[i], out[i])
		}
	}
}

func TestDate(t *testing.T) {
	for in, want := range map[string]string{"2026-03-01": "2026-03-01", "2026-03-01T09:00:00Z": "2026-03-01T09:00:00Z"} {
		got, err := holdfast.ParseDate(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseDate(%q): got %v, %v; want %v", in, got, err, want)
		}
	}
	if _, err := holdfast.ParseDate("01.03.2026"); err == nil {
		t.Error("ParseDate accepted 01.03.2026")
	}
}
