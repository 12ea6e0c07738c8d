package discover

import (
	"regexp"
	"strings"
)

// A script is taken apart, never carried out. What cannot be known from its text,
// like the day in a file's name, becomes a *.

const (
	unknown      = "*"
	commandsMax  = 2000 // of one script
	pipelineMost = 50
)

// command is one command of a script, its words as far as they can be known.
type command struct {
	env  map[string]string // set for it: by its own assignments and those before
	argv []string
	out  string // file its output goes to; empty: none
}

// shell reads a script.
type shell struct {
	text   string
	at     int
	vars   map[string]string
	source func(path string) []byte // reads a file that is sourced
	depth  int
}

// pipelines returns the commands of a script, those of one pipe together. The
// script's assignments stay in vars.
func pipelines(text string, vars map[string]string, source func(string) []byte) [][]command {
	s := &shell{text: text, vars: vars, source: source}
	return s.all()
}

func (s *shell) all() (list [][]command) {
	var pipe []command
	for n := 0; s.at < len(s.text) && n < commandsMax; n++ {
		c, end := s.command()
		if len(c.argv) > 0 && len(pipe) < pipelineMost {
			pipe = append(pipe, c)
		}
		if end != "|" && len(pipe) > 0 {
			list = append(list, pipe)
			pipe = nil
		}
	}
	if len(pipe) > 0 {
		list = append(list, pipe)
	}
	return list
}

// Names beside those of a script's variables, which cannot hold a #.
const (
	envFileOf = "#file" // the file variables come from
	workingIn = "#in"   // the folder commands run in
)

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// keywords stand before a command and are none.
var keywords = map[string]bool{"if": true, "then": true, "else": true, "elif": true, "do": true, "while": true, "until": true, "!": true, "{": true, "}": true, "time": true, "done": true, "fi": true}

// command reads up to the end of one command and returns what ended it.
func (s *shell) command() (c command, end string) {
	own := map[string]string{}
	for {
		word, op, ok := s.next()
		switch {
		case !ok:
			end = "\n"
		case op == "<" || op == ">":
			file, _, _ := s.next()
			if op == ">" && file != "/dev/null" && strings.Trim(file, "&0123456789-") != "" {
				c.out = file
			}
			continue
		case op != "":
			end = op
		case len(c.argv) == 0 && keywords[word]:
			continue
		case len(c.argv) == 0 && assignment.MatchString(word):
			name, value, _ := strings.Cut(word, "=")
			own[name] = value
			continue
		default:
			c.argv = append(c.argv, word)
			continue
		}
		break
	}
	s.settle(&c, own)
	return c, end
}

// settle gives a command the variables that stand, after those it sets itself.
func (s *shell) settle(c *command, own map[string]string) {
	if len(c.argv) == 0 {
		for name, value := range own {
			s.vars[name] = value
		}
		return
	}
	switch c.argv[0] {
	case "export", "readonly", "local", "declare", "typeset":
		for _, word := range c.argv[1:] {
			if assignment.MatchString(word) {
				name, value, _ := strings.Cut(word, "=")
				s.vars[name] = value
			}
		}
		c.argv = nil
		return
	case ".", "source":
		if len(c.argv) > 1 && s.depth < 3 && s.source != nil {
			s.vars[envFileOf] = c.argv[1]
			sub := &shell{text: string(s.source(c.argv[1])), vars: s.vars, source: s.source, depth: s.depth + 1}
			sub.all()
		}
		c.argv = nil
		return
	case "cd":
		if len(c.argv) > 1 {
			s.vars[workingIn] = c.argv[1]
		}
		c.argv = nil
		return
	case "for", "select", "read":
		if len(c.argv) > 1 {
			delete(s.vars, c.argv[1]) // it changes
		}
		c.argv = nil
		return
	}
	c.env = make(map[string]string, len(s.vars)+len(own))
	for name, value := range s.vars {
		c.env[name] = value
	}
	for name, value := range own {
		c.env[name] = value
	}
}

// next returns the next word or operator: | > < or \n for every end of a command.
func (s *shell) next() (word, op string, ok bool) {
	s.blanks()
	if s.at >= len(s.text) {
		return "", "", false
	}
	if op := s.operator(); op != "" {
		return "", op, true
	}
	var b strings.Builder
	for s.at < len(s.text) && b.Len() < 8192 {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r', ';', '|', '(', ')', '>', '<':
			return b.String(), "", true
		case '&':
			if b.Len() > 0 || !strings.HasPrefix(s.text[s.at:], "&1") && !strings.HasPrefix(s.text[s.at:], "&2") {
				return b.String(), "", true
			}
			b.WriteByte(c)
			s.at++
		case '\'':
			s.at++
			b.WriteString(s.until('\''))
		case '"':
			s.at++
			s.double(&b)
		case '\\':
			s.at++
			if s.at < len(s.text) {
				b.WriteByte(s.text[s.at])
				s.at++
			}
		case '$', '`':
			b.WriteString(s.expansion())
		default:
			b.WriteByte(c)
			s.at++
		}
	}
	return b.String(), "", true
}

// blanks passes over what parts words, comments, and ends of lines that do not
// count.
func (s *shell) blanks() {
	for s.at < len(s.text) {
		switch {
		case s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r':
			s.at++
		case strings.HasPrefix(s.text[s.at:], "\\\n"):
			s.at += 2
		case s.text[s.at] == '#':
			if end := strings.IndexByte(s.text[s.at:], '\n'); end >= 0 {
				s.at += end // the end of the line ends the command
			} else {
				s.at = len(s.text)
			}
		default:
			return
		}
	}
}

// operator reads an operator; "" where a word begins.
func (s *shell) operator() string {
	rest := s.text[s.at:]
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	for _, o := range []struct{ text, means string }{
		{"&>>", ">"}, {"&>", ">"}, {"<<<", "<"}, {"<<-", "<<"}, {"<<", "<<"}, {">>", ">"}, {">|", ">"}, {">&", ">"}, {">", ">"}, {"<&", "<"}, {"<", "<"},
	} {
		n := digits
		if o.text[0] == '&' {
			n = 0
		}
		if !strings.HasPrefix(rest[n:], o.text) {
			continue
		}
		s.at += n + len(o.text)
		switch {
		case o.means == "<<":
			s.hereDocument()
			return "\n"
		case n > 0 && rest[:n] != "1": // errors go elsewhere
			return "<"
		}
		return o.means
	}
	for _, o := range []struct{ text, means string }{{"||", "\n"}, {"|&", "|"}, {"|", "|"}, {"&&", "\n"}, {";;", "\n"}, {";", "\n"}, {"&", "\n"}, {"(", "\n"}, {")", "\n"}, {"\n", "\n"}} {
		if strings.HasPrefix(rest, o.text) && !strings.HasPrefix(rest, "&1") && !strings.HasPrefix(rest, "&2") {
			s.at += len(o.text)
			return o.means
		}
	}
	return ""
}

// hereDocument passes over what is given as input up to its mark.
func (s *shell) hereDocument() {
	mark, _, _ := s.next()
	s.until('\n')
	for s.at < len(s.text) {
		if line := s.until('\n'); strings.TrimSpace(line) == mark {
			return
		}
	}
}

// until returns the text up to a character, which is passed over.
func (s *shell) until(end byte) string {
	i := strings.IndexByte(s.text[s.at:], end)
	if i < 0 {
		text := s.text[s.at:]
		s.at = len(s.text)
		return text
	}
	text := s.text[s.at : s.at+i]
	s.at += i + 1
	return text
}

// double reads what stands in double quotes.
func (s *shell) double(b *strings.Builder) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"':
			s.at++
			return
		case '\\':
			s.at++
			if s.at < len(s.text) {
				b.WriteByte(s.text[s.at])
				s.at++
			}
		case '$', '`':
			b.WriteString(s.expansion())
		default:
			b.WriteByte(c)
			s.at++
		}
	}
}

var variable = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?])`)

// expansion reads what begins with $ or a backquote.
func (s *shell) expansion() string {
	if s.text[s.at] == '`' {
		s.at++
		s.until('`')
		return unknown
	}
	s.at++ // $
	rest := s.text[min(s.at, len(s.text)):]
	switch {
	case strings.HasPrefix(rest, "("):
		s.nested('(', ')')
		return unknown
	case strings.HasPrefix(rest, "{"):
		inside := s.nested('{', '}')
		name := variable.FindString(inside)
		if name == inside {
			return s.value(name)
		}
		if v, known := s.vars[name]; known && v != "" {
			if strings.HasPrefix(inside[len(name):], ":-") || strings.HasPrefix(inside[len(name):], "-") {
				return v
			}
			return unknown
		}
		if fallback, has := strings.CutPrefix(inside[len(name):], ":-"); has && name != "" && !strings.ContainsAny(fallback, "$`") {
			return fallback
		}
		return unknown
	}
	name := variable.FindString(rest)
	if name == "" {
		return "$"
	}
	s.at += len(name)
	return s.value(name)
}

func (s *shell) value(name string) string {
	if v, known := s.vars[name]; known {
		return v
	}
	return unknown
}

// nested passes over a pair of brackets and returns what is in it.
func (s *shell) nested(open, shut byte) string {
	from, depth := s.at+1, 0
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case open:
			depth++
		case shut:
			if depth--; depth == 0 {
				s.at++
				return s.text[from : s.at-1]
			}
		case '\\':
			s.at++
		}
	}
	s.at = len(s.text)
	return s.text[min(from, len(s.text)):]
}
