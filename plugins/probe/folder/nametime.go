package folder

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// nameTime finds a time in a file's name.
type nameTime struct {
	form  *regexp.Regexp // one group a part
	parts []byte         // what each group is: 'Y', 'm', …
	zone  *time.Location
}

// timeParts are the letters of strptime(3) that a name's time is written with.
var timeParts = map[byte]string{
	'Y': `(\d{4})`, 'm': `(\d{2})`, 'd': `(\d{2})`, 'H': `(\d{2})`, 'M': `(\d{2})`, 'S': `(\d{2})`, 's': `(\d{9,11})`,
}

// parseNameTime reads a form like "db-%Y%m%d".
func parseNameTime(form, zone string) (*nameTime, error) {
	n := &nameTime{}
	var err error
	if n.zone, err = time.LoadLocation(zone); err != nil {
		return nil, fmt.Errorf("setting \"name_zone\": %w", err)
	}
	var expression strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] != '%' {
			expression.WriteString(regexp.QuoteMeta(form[i : i+1]))
			continue
		}
		i++
		if i == len(form) || timeParts[form[i]] == "" || strings.IndexByte(string(n.parts), form[i]) >= 0 {
			return nil, fmt.Errorf("setting \"name_time\": %q: want each of %%Y %%m %%d %%H %%M %%S, or %%s, at most once", form)
		}
		n.parts = append(n.parts, form[i])
		expression.WriteString(timeParts[form[i]])
	}
	has := func(letters string) bool { return strings.Trim(letters, string(n.parts)) == "" }
	if has("s") == has("Ymd") || has("s") && len(n.parts) > 1 {
		return nil, fmt.Errorf("setting \"name_time\": %q: want %%Y, %%m and %%d at least, or %%s alone", form)
	}
	if n.form, err = regexp.Compile(expression.String()); err != nil {
		return nil, fmt.Errorf("setting \"name_time\": %w", err)
	}
	return n, nil
}

// in returns the time a name says, if it says one.
func (n *nameTime) in(name string) (time.Time, bool) {
	groups := n.form.FindStringSubmatch(name)
	if groups == nil {
		return time.Time{}, false
	}
	is := map[byte]int{}
	for i, part := range n.parts {
		is[part], _ = strconv.Atoi(groups[i+1]) // digits only, few enough for an int
	}
	if seconds, ok := is['s']; ok {
		return time.Unix(int64(seconds), 0), true
	}
	t := time.Date(is['Y'], time.Month(is['m']), is['d'], is['H'], is['M'], is['S'], 0, n.zone)
	exists := int(t.Month()) == is['m'] && t.Day() == is['d'] && is['H'] < 24 && is['M'] < 60 && is['S'] < 60
	return t, exists
}

// TimeIn returns the time that a name says by name_time, if it says one.
func (s Settings) TimeIn(name string) (time.Time, bool) {
	if s.nameTime == nil {
		return time.Time{}, false
	}
	return s.nameTime.in(name)
}
