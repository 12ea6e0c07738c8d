package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// recordView is the form of one kind of record for one service. It has an address
// of its own: what was typed stays typed, whatever happens to the service.
type recordView struct {
	Service, Title string
	Kind           holdfast.RecordKind
	Heading, Lead  string
	Action         string
	Fields         []field
	Problem        string // with the form as a whole
}

// field is one field of a form.
type field struct {
	Name, Label, Hint string
	Type              string // "text", "select", "check", "area", "time"
	Options           []option
	Required          bool
	Value             string
	Problem           string
}

type option struct{ Value, Title string }

// recordKind is what people read of a kind of record.
type recordKind struct{ title, button, lead string }

var recordKinds = map[holdfast.RecordKind]recordKind{
	holdfast.Exercise:    {"Record an exercise", "an exercise", "A recovery path walked at the recovery site, by people, with the plan. It counts as proof only if all of it is stated."},
	holdfast.Review:      {"Record a review", "a review", "Somebody read a plan, or what the business agreed, and it holds as it stands."},
	holdfast.Training:    {"Record a training", "a training", "People were trained in a plan."},
	holdfast.Change:      {"Record a change", "a change", "Something about the service changed. A substantive change voids what was proven before it."},
	holdfast.Attestation: {"Attest a need", "an attestation", "Somebody vouches for what no probe can see, for as long as the need's cadence says."},
	holdfast.Acceptance:  {"Accept a risk", "an accepted risk", "It silences alerts and is shown on every page. It changes neither verdict nor score."},
	holdfast.Maintenance: {"Record maintenance", "maintenance", "Alerts keep silent until its end. The judgement stays true."},
	holdfast.Invocation:  {"Record an invocation", "an invocation", "A recovery path was walked because it had to be."},
}

// recordLinks are the forms a role may fill in for a service.
func recordLinks(service string, role holdfast.Role) (list []option) {
	for _, k := range holdfast.RecordKinds {
		if role.MayRecord(k) {
			list = append(list, option{servicePath(service) + "/record/" + string(k), recordKinds[k].title})
		}
	}
	return list
}

func (s *server) addRecordPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /services/{name}/record/{kind}", s.recordForm)
	mux.HandleFunc("POST /services/{name}/record/{kind}", s.answering(mayRecord, s.recordEnter))
}

// recordOf returns the form of an address, or answers why there is none.
func (s *server) recordOf(w http.ResponseWriter, r *http.Request) (v *recordView, p holdfast.Posture, ok bool) {
	name, kind := r.PathValue("name"), holdfast.RecordKind(r.PathValue("kind"))
	words, known := recordKinds[kind]
	p, there := s.c.Posture(name)
	switch {
	case !there:
		s.missingPage(w, r, "There is no service "+clip(name)+" in the catalogue")
	case !known:
		s.missingPage(w, r, "There is no kind of record "+clip(string(kind)))
	case !whoIs(r.Context()).Role.MayRecord(kind):
		s.show(w, r, http.StatusForbidden, "missing", "Not allowed", "Role "+string(whoIs(r.Context()).Role)+" may not enter "+words.button)
	default:
		v = &recordView{Service: name, Title: titleOf(&p), Kind: kind, Heading: words.title, Lead: words.lead, Action: servicePath(name) + "/record/" + string(kind)}
		v.Fields = recordFields(kind, &p, s.c.Catalogue(), whoIs(r.Context()).Name)
		return v, p, true
	}
	return nil, p, false
}

// recordForm shows an empty form; its address may say what stands in a field.
func (s *server) recordForm(w http.ResponseWriter, r *http.Request) {
	v, _, ok := s.recordOf(w, r)
	if !ok {
		return
	}
	v.fill(r.URL.Query())
	s.show(w, r, http.StatusOK, "record", v.Heading, v)
}

// recordEnter takes a form in, or shows it again with what is wrong at its fields.
func (s *server) recordEnter(w http.ResponseWriter, r *http.Request) {
	v, p, ok := s.recordOf(w, r)
	if !ok {
		return
	}
	who := whoIs(r.Context())
	record, problems := readRecord(v.Kind, p.Name, r.PostForm)
	record.EnteredBy = who.Name
	if record.By == "" {
		record.By = who.Name
	}
	status := http.StatusUnprocessableEntity
	if len(problems) == 0 {
		_, err := s.c.Record(r.Context(), record)
		switch {
		case err == nil:
			http.Redirect(w, r, servicePath(p.Name)+"#records", http.StatusSeeOther)
			return
		case errors.Is(err, holdfast.ErrInvalid):
			problems = recordProblems(err)
		default:
			s.log.Error("record not stored", "err", err)
			status, problems = http.StatusServiceUnavailable, map[string]string{"": "the record is not stored; the collector's log says why. Send it again"}
		}
	}
	for i := range v.Fields {
		v.Fields[i].Value = "" // what was typed counts, not what was suggested
	}
	v.fill(r.PostForm)
	v.wrong(problems)
	s.show(w, r, status, "record", v.Heading, v)
}

// fill puts values into the fields.
func (v *recordView) fill(values url.Values) {
	for i := range v.Fields {
		f := &v.Fields[i]
		if !values.Has(f.Name) {
			continue
		}
		f.Value = clipRaw(values.Get(f.Name))
		if f.Type == "select" && !slices.ContainsFunc(f.Options, func(o option) bool { return o.Value == f.Value }) {
			f.Options = append(f.Options, option{f.Value, f.Value})
		}
	}
}

// wrong puts problems at their fields, and the rest above the form.
func (v *recordView) wrong(problems map[string]string) {
	var rest []string
	for name, text := range problems {
		i := slices.IndexFunc(v.Fields, func(f field) bool { return f.Name == name })
		if i < 0 {
			rest = append(rest, spelled(strings.TrimPrefix(name+": "+text, ": ")))
			continue
		}
		v.Fields[i].Problem = spelled(text)
	}
	slices.Sort(rest)
	v.Problem = strings.Join(rest, " ")
}

// recordProblems says what is wrong with a record, by field, as the API does.
func recordProblems(err error) map[string]string {
	problems := map[string]string{}
	problem, ok := errors.AsType[*huma.ErrorModel](invalid("record", err))
	if !ok {
		return map[string]string{"": err.Error()}
	}
	for _, e := range problem.Errors {
		name := strings.TrimPrefix(strings.TrimPrefix(e.Location, "body"), ".")
		if name == "started + duration" {
			name = "duration"
		}
		if problems[name] != "" {
			problems[name] += "; "
		}
		problems[name] += e.Message
	}
	return problems
}

const formTime = "2006-01-02T15:04"

// readRecord makes a record of what was typed.
func readRecord(kind holdfast.RecordKind, service string, values url.Values) (r holdfast.Record, problems map[string]string) {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	problems = map[string]string{}
	instant := func(name string) (t time.Time) {
		typed := text(name)
		if typed == "" {
			return t
		}
		for _, form := range []string{formTime, "2006-01-02T15:04:05", time.RFC3339} {
			if t, err := time.Parse(form, typed); err == nil {
				return t.UTC()
			}
		}
		problems[name] = "write it like " + formTime + ", in UTC"
		return t
	}
	r = holdfast.Record{
		Kind: kind, At: instant("at"), By: text("by"), Until: instant("until"), Reason: text("reason"), Note: text("note"),
		Path: text("path"), Scenario: text("scenario"), Plan: text("plan"), Version: text("version"), Editorial: values.Has("editorial"),
		Team: text("team"), Site: text("site"), Host: text("host"), Outcome: holdfast.Outcome(text("outcome")),
		Started: instant("started"), Point: instant("point"), Substantive: values.Has("substantive"), Data: values.Has("data"),
		Need: text("need"), Approver: text("approver"),
	}
	for name := range strings.SplitSeq(text("people"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			r.People = append(r.People, name)
		}
	}
	if typed := text("duration"); typed != "" {
		var err error
		if r.Duration, err = holdfast.ParseDuration(typed); err != nil {
			problems["duration"] = err.Error()
		}
	}
	switch {
	case kind == holdfast.Exercise, kind == holdfast.Change, kind == holdfast.Invocation,
		kind == holdfast.Review && r.Plan == "",
		kind == holdfast.Maintenance && r.Site == "" && r.Host == "":
		r.Service = service
	}
	return r, problems
}
