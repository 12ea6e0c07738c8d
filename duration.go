package holdfast

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time written as Prometheus writes it: "90s", "15m",
// "1d", "1h30m". A day is 24 h, a week 7 d, a year 365 d. Text keeps
// milliseconds; what is finer is cut off.
type Duration time.Duration

// Units of Duration that package time does not have.
const (
	Day  = Duration(24 * time.Hour)
	Week = 7 * Day
	Year = 365 * Day
)

var durationUnits = []struct {
	name string
	size Duration
}{
	{"y", Year}, {"w", Week}, {"d", Day},
	{"h", Duration(time.Hour)}, {"m", Duration(time.Minute)}, {"s", Duration(time.Second)},
	{"ms", Duration(time.Millisecond)},
}

// ParseDuration reads a duration as Prometheus writes it: whole numbers with
// the units y, w, d, h, m, s, ms, largest first, each at most once. "0" needs no
// unit. The error says what a duration looks like.
func ParseDuration(s string) (Duration, error) {
	if s == "0" {
		return 0, nil
	}
	rest, total, unit := s, Duration(0), 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, badDuration(s)
		}
		rest = rest[digits:]
		letters := strings.IndexAny(rest, "0123456789")
		if letters < 0 {
			letters = len(rest)
		}
		for unit < len(durationUnits) && durationUnits[unit].name != rest[:letters] {
			unit++
		}
		if unit == len(durationUnits) {
			return 0, badDuration(s)
		}
		size := durationUnits[unit].size
		if n > int64((math.MaxInt64-total)/size) {
			return 0, fmt.Errorf("duration %q is longer than 292 years", s)
		}
		total += Duration(n) * size
		rest = rest[letters:]
		unit++
	}
	if s == "" {
		return 0, errors.New("empty duration: write it like 15m, 1h30m or 7d")
	}
	return total, nil
}

func badDuration(s string) error {
	return fmt.Errorf("%q is not a duration: write it like 15m, 1h30m or 7d (units y w d h m s ms, largest first)", s)
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d in the form ParseDuration reads, a negative one with a
// leading minus sign. Like Prometheus it uses weeks and years only where they
// come out whole.
func (d Duration) String() string {
	if d < 0 {
		return "-" + (-d).String()
	}
	ms := d / Duration(time.Millisecond) * Duration(time.Millisecond)
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range durationUnits {
		if (u.name == "y" || u.name == "w") && ms%u.size != 0 {
			continue
		}
		if n := ms / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			ms -= n * u.size
		}
	}
	return b.String()
}

// MarshalText writes d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads, and a leading minus sign.
func (d *Duration) UnmarshalText(text []byte) error {
	s, negative := strings.CutPrefix(string(text), "-")
	v, err := ParseDuration(s)
	if err != nil {
		return err
	}
	if negative {
		v = -v
	}
	*d = v
	return nil
}

// Bytes is an amount of data. JSON carries it as a number of bytes; people
// write and read it with units: "200GiB".
type Bytes int64

var byteUnits = []struct {
	name string
	size float64
}{
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads an amount like "200GiB", "1.5TB", "512MiB" or a bare number
// of bytes.
func ParseBytes(s string) (Bytes, error) {
	number, size := s, 1.0
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, size = strings.TrimSpace(n), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || strings.ContainsAny(number, "eExXnNiI+_") {
		return 0, fmt.Errorf("%q is not a size: write it like 200GiB, 1.5TB or 4096", s)
	}
	if v*size >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is larger than 8 EiB", s)
	}
	return Bytes(v * size), nil
}

// String writes b with the binary unit that keeps it above 1: "200GiB", "1.5MiB".
func (b Bytes) String() string {
	if b < 0 {
		return "-" + (-b).String()
	}
	for _, u := range byteUnits[:5] {
		if float64(b) >= u.size {
			return strconv.FormatFloat(math.Round(float64(b)/u.size*10)/10, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// UnmarshalJSON reads a number of bytes, or text as ParseBytes reads it.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		v, err := ParseBytes(s)
		if err == nil {
			*b = v
		}
		return err
	}
	return json.Unmarshal(data, (*int64)(b))
}

// Date is a calendar day, or an instant: the catalogue writes "2026-03-01" or
// RFC 3339. A bare day means its start in UTC.
type Date struct{ time.Time }

// ParseDate reads "2026-03-01" or an RFC 3339 time.
func ParseDate(s string) (Date, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return Date{t}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date: write it like 2026-03-01 or 2026-03-01T09:00:00Z", s)
	}
	return Date{t.UTC()}, nil
}

// String writes a bare day where d is the start of one, else RFC 3339.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	if u := d.UTC(); u.Equal(u.Truncate(24 * time.Hour)) {
		return u.Format(time.DateOnly)
	}
	return d.UTC().Format(time.RFC3339)
}

// MarshalJSON writes String.
func (d Date) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads what ParseDate reads, and "" as the zero date.
func (d *Date) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == "" {
		*d = Date{}
		return nil
	}
	v, err := ParseDate(s)
	if err == nil {
		*d = v
	}
	return err
}
