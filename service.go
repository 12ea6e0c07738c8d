package holdfast

import (
	"slices"
	"strings"
)

// Service is something the organisation delivers. Lists are sorted by name;
// places and defaults are filled in by the catalogue's reader, so that who judges
// never guesses.
type Service struct {
	Name       string        `json:"name"`
	Title      string        `json:"title,omitempty"`
	Owner      string        `json:"owner,omitempty"` // a team, or a name
	Tier       int           `json:"tier"`            // 1 most critical … 4
	Site       string        `json:"site,omitempty"`
	Host       string        `json:"host,omitempty"`
	BIA        *BIA          `json:"bia,omitempty"` // nil: not judged
	DependsOn  []Dependency  `json:"depends_on,omitempty"`
	Datasets   []Dataset     `json:"data,omitempty"`
	Consistent []Consistency `json:"consistent,omitempty"`
	Paths      []Path        `json:"paths,omitempty"`
	Was        string        `json:"was,omitempty"`
	Source     string        `json:"source,omitempty"` // where it is written: "file.yaml:12"
}

// DependencyKind says when a dependency is needed.
type DependencyKind string

// The kinds of dependency.
const (
	Required DependencyKind = "required" // to run
	Recovery DependencyKind = "recovery" // only to recover: vault, DNS
	Optional DependencyKind = "optional" // never limits
)

// DependencyKinds lists every kind.
var DependencyKinds = []DependencyKind{Required, Recovery, Optional}

// Dependency is another service this one stands on.
type Dependency struct {
	Service string         `json:"service"`
	Kind    DependencyKind `json:"kind"`
}

// Consistency says that datasets restored together must lie within a skew.
type Consistency struct {
	Datasets []string `json:"datasets"`
	Within   Duration `json:"within"`
}

// Dataset is data a service must not lose. Its primary is a copy like the
// others, named "primary", and the first of Copies; the rest follow by name.
type Dataset struct {
	Name   string `json:"name"`
	Title  string `json:"title,omitempty"`
	Copies []Copy `json:"copies"`
	Was    string `json:"was,omitempty"`
}

// PrimaryCopy is the name of a dataset's implied copy: the data itself.
const PrimaryCopy = "primary"

// CopyKind says how a copy comes about.
type CopyKind string

// The kinds of copy.
const (
	Primary CopyKind = "primary" // the data itself
	Backup  CopyKind = "backup"  // points in time
	Replica CopyKind = "replica" // follows the primary, damage included
)

// CopyKinds lists the kinds a catalogue may type.
var CopyKinds = []CopyKind{Backup, Replica}

// Copy is one copy of a dataset. The facts Immutable, Offline and Encrypted are
// what the catalogue declares; nil is unstated. A probe that sees otherwise wins.
type Copy struct {
	Name      string   `json:"name"`
	Kind      CopyKind `json:"kind"`
	Site      string   `json:"site,omitempty"`
	Host      string   `json:"host,omitempty"`
	Medium    string   `json:"medium,omitempty"`
	Immutable *bool    `json:"immutable,omitempty"`
	Offline   *bool    `json:"offline,omitempty"`
	Encrypted *bool    `json:"encrypted,omitempty"`
	Keep      Duration `json:"keep,omitempty"`  // how long every recovery point is kept at least; 0: not stated
	Check     *Check   `json:"check,omitempty"` // nil: nobody looks
	Was       string   `json:"was,omitempty"`
}

// Check is a probe placed on an agent.
//
// Its ID says where it is written in the catalogue: SERVICE/DATASET/COPY,
// SERVICE/PATH/RUNG, SERVICE/PATH/RUNG/DATASET, SERVICE/PATH/mbco,
// SERVICE/PATH/NAME or plan/PLAN/SITE. A check that moves to another agent keeps its ID and history.
type Check struct {
	ID      string   `json:"id"`
	Probe   string   `json:"probe"`
	On      string   `json:"on"` // the agent
	Every   Duration `json:"every"`
	Timeout Duration `json:"timeout"`
	With    Settings `json:"with,omitempty"`
}

// Settings are a check's settings as canonical JSON: an object, keys sorted, no
// white space; empty where there are none.
type Settings string

// MarshalJSON writes the object itself.
func (s Settings) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("{}"), nil
	}
	return []byte(s), nil
}

// UnmarshalJSON keeps the object as it is written.
func (s *Settings) UnmarshalJSON(b []byte) error {
	*s = Settings(b)
	return nil
}

// Dataset returns the dataset of that name, or nil.
func (s *Service) Dataset(name string) *Dataset {
	for i := range s.Datasets {
		if s.Datasets[i].Name == name {
			return &s.Datasets[i]
		}
	}
	return nil
}

// Path returns the path of that name, or nil.
func (s *Service) Path(name string) *Path {
	for i := range s.Paths {
		if s.Paths[i].Name == name {
			return &s.Paths[i]
		}
	}
	return nil
}

// Copy returns the copy of that name, or nil.
func (d *Dataset) Copy(name string) *Copy {
	for i := range d.Copies {
		if d.Copies[i].Name == name {
			return &d.Copies[i]
		}
	}
	return nil
}

// Checks calls yield for every check written in the service: copies, then path by
// path needs, tests and the check of the minimum level.
func (s *Service) Checks(yield func(*Check) bool) {
	for i := range s.Datasets {
		for j := range s.Datasets[i].Copies {
			if c := s.Datasets[i].Copies[j].Check; c != nil && !yield(c) {
				return
			}
		}
	}
	for i := range s.Paths {
		p := &s.Paths[i]
		for j := range p.Needs {
			if c := p.Needs[j].Check; c != nil && !yield(c) {
				return
			}
		}
		for j := range p.Tests {
			if !yield(&p.Tests[j].Check) {
				return
			}
		}
		if p.MBCO != nil && !yield(p.MBCO) {
			return
		}
	}
}

// Catalogue is the whole business-owned description, read and resolved. Lists
// are sorted by name.
type Catalogue struct {
	Hash      string             `json:"hash"` // of the files' content: "sha256:…"
	Policy    Policy             `json:"policy"`
	Sites     []Site             `json:"sites"`
	Teams     []Team             `json:"teams"`
	Plans     []Plan             `json:"plans"`
	Scenarios []DeclaredScenario `json:"scenarios"`
	Services  []Service          `json:"services"`
}

// Service returns the service of that name, or nil.
func (c *Catalogue) Service(name string) *Service {
	i, ok := slices.BinarySearchFunc(c.Services, name, func(s Service, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return nil
	}
	return &c.Services[i]
}

// Check returns the check of that ID, or nil.
func (c *Catalogue) Check(id string) *Check {
	owner, _, _ := strings.Cut(id, "/")
	if s := c.Service(owner); s != nil {
		for k := range s.Checks {
			if k.ID == id {
				return k
			}
		}
	}
	for i := range c.Plans {
		for j := range c.Plans[i].Kept {
			if k := c.Plans[i].Kept[j].Check; k != nil && k.ID == id {
				return k
			}
		}
	}
	return nil
}

// Checks calls yield for every check of the catalogue: those of services first,
// then the kept copies of plans.
func (c *Catalogue) Checks(yield func(*Check) bool) {
	more := true
	for i := range c.Services {
		c.Services[i].Checks(func(k *Check) bool { more = yield(k); return more })
		if !more {
			return
		}
	}
	for i := range c.Plans {
		for j := range c.Plans[i].Kept {
			if k := c.Plans[i].Kept[j].Check; k != nil && !yield(k) {
				return
			}
		}
	}
}
