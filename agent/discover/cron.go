package discover

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const jobsMax = 500

// findCron reads the crontabs of the system and of its users, and the scripts that
// run daily and the like.
func (f *finder) findCron() {
	f.crontab("/etc/crontab", "")
	for _, name := range f.names("/etc/cron.d") {
		if partName.MatchString(name) { // others cron leaves out
			f.crontab(filepath.Join("/etc/cron.d", name), "")
		}
	}
	for _, dir := range []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs"} {
		for _, user := range f.names(dir) {
			f.crontab(filepath.Join(dir, user), user)
		}
	}
	for _, every := range []string{"hourly", "daily", "weekly", "monthly"} {
		for _, dir := range []string{"/etc/cron." + every, "/etc/periodic/" + every} {
			for _, name := range f.names(dir) {
				path := filepath.Join(dir, name)
				if partName.MatchString(name) {
					f.job(Job{Kind: "cron", Name: path, Schedule: every, User: "root", Enabled: f.executable(path)}, path, path, map[string]string{})
				}
			}
		}
	}
}

// partName is what run-parts(8) and cron(8) of Debian take for a name that counts.
var partName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (f *finder) executable(path string) bool {
	info, err := f.stat(path)
	return err == nil && info.Mode().Perm()&0o111 != 0
}

// crontab reads a crontab. The system's name the user of each line; user is then
// empty.
func (f *finder) crontab(file, user string) {
	vars := map[string]string{}
	for i, line := range strings.Split(string(f.read(file)), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && assignment.MatchString(strings.TrimSpace(name)+"=") {
			vars[strings.TrimSpace(name)] = unquote(value)
			continue
		}
		fields := 5
		if line[0] == '@' {
			fields = 1
		}
		words := fieldsN(line, fields+1)
		who, command := user, words[len(words)-1]
		if len(words) <= fields {
			continue
		}
		if user == "" {
			pair := fieldsN(command, 2)
			if len(pair) < 2 {
				continue
			}
			who, command = pair[0], pair[1]
		}
		f.job(Job{Kind: "cron", Name: file + ":" + strconv.Itoa(i+1), Schedule: strings.Join(words[:fields], " "), User: who, Enabled: true}, file, cronCommand(command), vars)
	}
}

// fieldsN splits off the first fields; the last is the rest of the line.
func fieldsN(line string, n int) []string {
	var list []string
	for len(list) < n-1 {
		line = strings.TrimLeft(line, " \t")
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			break
		}
		list = append(list, line[:end])
		line = line[end:]
	}
	if line = strings.TrimSpace(line); line != "" {
		list = append(list, line)
	}
	return list
}

// cronCommand is the command of a line: % ends it, \% is a %.
func cronCommand(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' && i+1 < len(line) && line[i+1] == '%' {
			b.WriteByte('%')
			i++
			continue
		}
		if line[i] == '%' {
			break
		}
		b.WriteByte(line[i])
	}
	return b.String()
}

// job reads what a job's commands do, and keeps it if that looks like a backup. From
// is the file the commands stand in.
func (f *finder) job(j Job, from, script string, vars map[string]string) {
	r := &reader{f: f, author: f.owner(from)}
	r.script(script, vars)
	if len(r.seen) == 0 {
		return
	}
	if len(f.jobs) == jobsMax {
		f.limit("more than " + strconv.Itoa(jobsMax) + " jobs")
		return
	}
	j.Name, j.Schedule, j.User = plain(j.Name), plain(j.Schedule), plain(j.User)
	j.Actions = r.seen
	f.jobs = append(f.jobs, j)
	for i := range j.Actions {
		f.repository(&j.Actions[i], j.Kind+" "+j.Name)
	}
}
