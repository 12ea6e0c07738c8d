package discover

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A command often runs another one: nice, sudo, flock, a shell, a script. What is
// looked for is the innermost.

const (
	scriptsDeep = 4
	jobCommands = 5000 // commands of one job, those of its scripts included
)

// wrapper is a program that runs the one its arguments name.
type wrapper struct {
	with   string // its options of one letter that take a value
	long   []string
	before int // operands that come first: a duration, a lock
	shell  bool
	mixed  bool // its options may stand behind its operands
}

var wrappers = map[string]wrapper{
	"nice": {with: "n", long: []string{"--adjustment"}}, "ionice": {with: "cnpPu", long: []string{"--class", "--classdata"}},
	"chrt": {with: "TPD", before: 1}, "timeout": {with: "ks", long: []string{"--kill-after", "--signal"}, before: 1},
	"flock": {with: "wEc", long: []string{"--timeout", "--wait", "--conflict-exit-code"}, before: 1, shell: true}, "env": {with: "uCS", long: []string{"--unset", "--chdir"}},
	"sudo": {with: "ugpCrtThUR", long: []string{"--user", "--group", "--chdir"}}, "doas": {with: "uC"},
	"runuser": {with: "ugGsc", long: []string{"--user", "--group", "--shell"}, shell: true}, "su": {with: "cgGsw", long: []string{"--shell", "--group"}, before: 1, shell: true, mixed: true},
	"setpriv": {}, "chronic": {}, "cronic": {}, "nohup": {}, "setsid": {}, "stdbuf": {with: "ioe"}, "exec": {with: "a"}, "command": {}, "builtin": {}, "unbuffer": {}, "caffeinate": {},
	"systemd-cat": {with: "tp", long: []string{"--identifier", "--priority"}}, "systemd-inhibit": {}, "systemd-run": {with: "upMHEtG", long: []string{"--unit", "--property", "--slice"}},
	"sshpass": {with: "pfdePR"}, "cpulimit": {with: "lpePL"}, "chpst": {with: "uUeobdslmncP"}, "sem": {with: "j", long: []string{"--id", "--jobs"}}, "time": {with: "fo"},
	"sh": {with: "coO", shell: true}, "bash": {with: "coO", shell: true}, "dash": {with: "co", shell: true}, "ash": {with: "co", shell: true}, "ksh": {with: "co", shell: true}, "zsh": {with: "co", shell: true},
}

// reader takes a script apart into actions.
//
// Who wrote a script decides which files it may lead us to: a user's crontab must not
// have root read, and show, what that user cannot read.
type reader struct {
	f      *finder
	author uint32 // user who wrote what is read; 0, root, may lead anywhere
	depth  int
	count  int      // commands that were read
	files  []string // scripts that are being read, the outer first
	seen   []Action
}

// script reads a text with the variables that stand.
func (r *reader) script(text string, vars map[string]string) {
	if r.depth >= scriptsDeep {
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	for _, pipe := range pipelines(text, maps.Clone(vars), r.read) {
		for i := range pipe {
			if r.count++; r.count > jobCommands {
				return
			}
			r.command(pipe[i], output(pipe[i:]))
		}
	}
}

// read reads a file that a script leads to, if its author may.
func (r *reader) read(path string) []byte {
	if r.author != 0 && !r.f.readableBy(path, r.author) {
		return nil
	}
	return r.f.read(path)
}

// output is the file that a pipe's output ends in.
func output(pipe []command) string {
	for _, c := range slices.Backward(pipe) {
		if c.out != "" {
			return c.out
		}
		if len(c.argv) > 1 && filepath.Base(c.argv[0]) == "tee" {
			return c.argv[len(c.argv)-1]
		}
	}
	return ""
}

// command follows a command to the program that does the work.
func (r *reader) command(c command, out string) {
	inside := ""
	for range 12 {
		if len(c.argv) == 0 {
			return
		}
		name := filepath.Base(c.argv[0])
		if name == "docker" || name == "podman" || name == "docker-compose" || name == "nerdctl" {
			var ok bool
			if inside, c.argv, ok = insideOf(c.argv); !ok {
				return
			}
			continue
		}
		if tool, known := tools[name]; known {
			if a, ok := tool(call{f: r.f, read: r.read, name: name, args: c.argv[1:], env: c.env, out: out}); ok {
				a.Tool, a.inside = name, inside
				a.locate(c.env[workingIn])
				if len(a.Sources) == 0 || !slices.ContainsFunc(a.Sources, ofPackages) {
					r.seen = append(r.seen, plainAction(a))
				}
			}
			return
		}
		w, wraps := wrappers[name]
		if !wraps {
			r.file(c)
			return
		}
		f := parse(c.argv[1:], w.with, w.long, w.mixed)
		c.env = maps.Clone(c.env)
		rest := f.operands
		if w.shell {
			if text, has := f.value("-c", "--command"); has {
				r.script(text, c.env)
				return
			}
			if w.before == 0 && name != "runuser" { // a shell: its operand is a script
				c.argv = rest
				r.file(c)
				return
			}
		}
		if w.before > len(rest) {
			return
		}
		rest = rest[w.before:]
		if len(rest) > 1 && rest[0] == "-c" && w.shell { // flock FILE -c TEXT
			r.script(rest[1], c.env)
			return
		}
		for len(rest) > 0 && assignment.MatchString(rest[0]) {
			name, value, _ := strings.Cut(rest[0], "=")
			if c.env == nil {
				c.env = map[string]string{}
			}
			c.env[name] = value
			rest = rest[1:]
		}
		c.argv = rest
	}
}

// locate gives a file without a folder the one the command runs in.
func (a *Action) locate(folder string) {
	switch a.kind {
	case "dumps", "archives", "basebackups", "physical":
		if a.Target != "" && !filepath.IsAbs(a.Target) && filepath.IsAbs(folder) && !strings.HasPrefix(a.Target, unknown+"/") {
			a.Target = filepath.Join(folder, a.Target)
		}
	}
}

// ofPackages reports whether a path is the package manager's own.
func ofPackages(path string) bool { return under(path, "/var/lib/dpkg") || under(path, "/var/lib/rpm") }

// file reads the script that a command runs, if it is one of a shell.
func (r *reader) file(c command) {
	if len(c.argv) == 0 || !filepath.IsAbs(c.argv[0]) || strings.Contains(c.argv[0], unknown) {
		return
	}
	text := r.read(c.argv[0])
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if len(text) == fileMax || bytes.IndexByte(text, 0) >= 0 || !bytes.HasPrefix(first, []byte("#!")) || !bytes.Contains(first, []byte("sh")) {
		return
	}
	vars := maps.Clone(c.env)
	if vars == nil {
		vars = map[string]string{}
	}
	vars["0"] = c.argv[0]
	for i, arg := range c.argv[1:] {
		vars[strconv.Itoa(i+1)] = arg
	}
	if slices.Contains(r.files, c.argv[0]) {
		return // it runs itself
	}
	author := r.author
	if author == 0 {
		r.author = r.f.owner(c.argv[0])
	}
	r.files = append(r.files, c.argv[0])
	r.script(string(text), vars)
	r.files, r.author = r.files[:len(r.files)-1], author
}

// insideOf takes the command out of docker exec and its like.
func insideOf(argv []string) (container string, inner []string, ok bool) {
	i := slices.Index(argv, "exec")
	if i < 0 {
		return "", nil, false
	}
	f := options(argv[i+1:], "ewu", "--env", "--workdir", "--user", "--index")
	if len(f.operands) < 2 {
		return "", nil, false
	}
	return f.operands[0], f.operands[1:], true
}

// given is what stands on a command line: options and operands. Options after the
// first operand belong to the command it names.
type given struct {
	set      map[string][]string
	operands []string
}

// options reads options up to the first operand. With lists the letters, long the
// names, of those that take a value.
func options(args []string, with string, long ...string) given { return parse(args, with, long, false) }

// mixed reads options wherever they stand.
func mixed(args []string, with string, long ...string) given { return parse(args, with, long, true) }

func parse(args []string, with string, long []string, all bool) given {
	g := given{set: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		next := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch {
		case arg == "--":
			g.operands = append(g.operands, args[i+1:]...)
			return g
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg, "=")
			if !has && slices.Contains(long, name) {
				value = next()
			}
			g.set[name] = append(g.set[name], value)
		case len(arg) > 1 && arg[0] == '-':
			for k := 1; k < len(arg); k++ {
				name := "-" + arg[k:k+1]
				if !strings.Contains(with, arg[k:k+1]) {
					g.set[name] = append(g.set[name], "")
					continue
				}
				value := arg[k+1:]
				if value == "" {
					value = next()
				}
				g.set[name] = append(g.set[name], value)
				break
			}
		default:
			g.operands = append(g.operands, arg)
			if !all {
				g.operands = append(g.operands, args[i+1:]...)
				return g
			}
		}
	}
	return g
}

// value returns the last value given under any of the names.
func (g given) value(names ...string) (string, bool) {
	for _, name := range names {
		if v := g.set[name]; len(v) > 0 {
			return v[len(v)-1], true
		}
	}
	return "", false
}

func (g given) has(names ...string) bool {
	_, has := g.value(names...)
	return has
}

// get is value without whether it is there.
func (g given) get(names ...string) string {
	v, _ := g.value(names...)
	return v
}
