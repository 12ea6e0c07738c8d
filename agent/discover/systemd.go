package discover

import (
	"path/filepath"
	"slices"
	"strings"
)

// unitDirs are where units stand; the first that has one wins (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// findTimers reads the timers of systemd and what their services run.
func (f *finder) findTimers() {
	enabled := f.enabledTimers()
	done := map[string]bool{}
	for _, dir := range unitDirs {
		for _, name := range f.names(dir) {
			if strings.HasSuffix(name, ".timer") && !strings.Contains(name, "@.") && !done[name] {
				done[name] = true
				f.timer(name, slices.Contains(enabled, name))
			}
		}
	}
	for _, name := range enabled { // instances of templates
		if !done[name] {
			done[name] = true
			f.timer(name, true)
		}
	}
}

// enabledTimers lists the timers that something starts.
func (f *finder) enabledTimers() (list []string) {
	for _, dir := range unitDirs {
		entries, _ := f.list(dir)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".wants") && !strings.HasSuffix(e.Name(), ".requires") {
				continue
			}
			wanted, _ := f.list(filepath.Join(dir, e.Name()))
			for _, w := range wanted {
				if strings.HasSuffix(w.Name(), ".timer") {
					list = append(list, w.Name())
				}
			}
		}
	}
	return list
}

// timer reads a timer and its service.
func (f *finder) timer(name string, enabled bool) {
	t := f.unit(name)
	service := first(last(t["Timer.Unit"]), strings.TrimSuffix(name, ".timer")+".service")
	s := f.unit(service)
	vars := map[string]string{}
	for _, line := range s["Service.EnvironmentFile"] {
		file := strings.TrimPrefix(line, "-")
		pipelines(string(f.read(file)), vars, nil)
		vars[envFileOf] = file
	}
	for _, line := range s["Service.Environment"] {
		for _, pipe := range pipelines("env "+line+" true", map[string]string{}, nil) {
			for _, word := range pipe[0].argv[1:] {
				if key, value, ok := strings.Cut(word, "="); ok {
					vars[key] = value
				}
			}
		}
	}
	if folder := last(s["Service.WorkingDirectory"]); folder != "" {
		vars[workingIn] = folder
	}
	var script strings.Builder
	for _, key := range []string{"Service.ExecStartPre", "Service.ExecStart", "Service.ExecStartPost"} {
		for _, line := range s[key] {
			script.WriteString(strings.TrimLeft(line, "-@:+!") + "\n")
		}
	}
	schedule := append(slices.Clone(t["Timer.OnCalendar"]), t["Timer.OnUnitActiveSec"]...)
	f.job(Job{Kind: "timer", Name: name, Schedule: strings.Join(schedule, ", "), User: first(last(s["Service.User"]), "root"), Enabled: enabled}, unitDirs[0], script.String(), vars)
}

// unit reads a unit and what is dropped in beside it: "Section.Key" → its values.
func (f *finder) unit(name string) map[string][]string {
	values := map[string][]string{}
	file, instance := name, ""
	if before, rest, isInstance := strings.Cut(name, "@"); isInstance {
		instance = strings.TrimSuffix(rest, filepath.Ext(rest))
		file = before + "@" + filepath.Ext(rest)
	}
	for _, dir := range unitDirs {
		text := f.read(filepath.Join(dir, name))
		if text == nil {
			text = f.read(filepath.Join(dir, file))
		}
		if text != nil {
			unitValues(values, string(text), instance)
			break
		}
	}
	for _, dir := range unitDirs {
		for _, of := range slices.Compact([]string{file + ".d", name + ".d"}) {
			for _, conf := range f.names(filepath.Join(dir, of)) {
				if strings.HasSuffix(conf, ".conf") {
					unitValues(values, string(f.read(filepath.Join(dir, of, conf))), instance)
				}
			}
		}
	}
	return values
}

// unitValues adds what a unit says. An empty value takes back those before.
func unitValues(values map[string][]string, text, instance string) {
	section := ""
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		key = section + "." + strings.TrimSpace(key)
		value = strings.NewReplacer("%i", instance, "%I", instance, "%%", "%").Replace(strings.TrimSpace(value))
		if value == "" {
			delete(values, key)
			continue
		}
		values[key] = append(values[key], value)
	}
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}
