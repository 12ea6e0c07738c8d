package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/catalog"
)

// people do what the catalogue asks of people, well before it runs out, and enter
// it with "holdfast record".
type people struct {
	demo *Demo
	last map[string]time.Time // when each duty was done
}

// duty is something people do again and again.
type duty struct {
	name  string
	every holdfast.Duration // cadence; 0: once is enough
	do    func(context.Context) error
}

func newPeople(d *Demo) *people { return &people{d, map[string]time.Time{}} }

// renew does every duty of which a third of its cadence has passed. The policy in
// force says how often; a catalogue that does not read is left to whoever edits it.
func (p *people) renew(ctx context.Context) error {
	k, err := catalog.Load(p.demo.folder.catalogue(), catalog.Options{})
	if err != nil {
		return fmt.Errorf("people look into the catalogue: %w", err)
	}
	var faults []error
	for _, d := range p.duties(k) {
		if last, done := p.last[d.name]; done && (d.every == 0 || time.Since(last) < d.every.Std()/3) {
			continue
		}
		if err := d.do(ctx); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", d.name, err))
			continue
		}
		p.last[d.name] = time.Now()
	}
	return errors.Join(faults...)
}

// duties lists what the catalogue asks of people.
func (p *people) duties(k *holdfast.Catalogue) []duty {
	var list []duty
	add := func(every holdfast.Duration, args ...string) {
		list = append(list, duty{strings.Join(args, " "), every, func(ctx context.Context) error { return p.record(ctx, args...) }})
	}
	strict := k.Policy.Tier(1)
	for _, plan := range k.Plans {
		add(strict.Plan, "review", "--plan", plan.Name, "--plan-version", plan.Version, "--by", plan.Approver)
	}
	for i := range k.Services {
		s := &k.Services[i]
		terms := k.Policy.Tier(s.Tier)
		add(terms.Plan, "review", "--service", s.Name, "--by", s.Owner)
		for _, d := range s.Datasets {
			for _, c := range d.Copies {
				if c.Immutable != nil && *c.Immutable {
					add(terms.Plan, "attestation", "--need", s.Name+"/"+d.Name+"/"+c.Name+"/immutable", "--by", "head of storage")
				}
			}
		}
		for i := range s.Paths {
			path := &s.Paths[i]
			plan, team := namedIn(k, path)
			if plan == nil || team == nil {
				continue
			}
			training := []string{"training", "--team", team.Name, "--plan", plan.Name, "--people", members(team), "--by", plan.Approver}
			if !slices.ContainsFunc(list, func(d duty) bool { return d.name == strings.Join(training, " ") }) {
				add(strict.Training, training...)
			}
			if every := exerciseEvery(terms, path); every > 0 {
				list = append(list, duty{"exercise of " + s.Name + "/" + path.Name, every, func(ctx context.Context) error { return p.exercise(ctx, s, path, plan, team) }})
			}
		}
	}
	return list
}

// exerciseEvery returns how often a path must be walked: where its tier asks for
// it, or where nothing else restores its data.
func exerciseEvery(terms holdfast.TierPolicy, path *holdfast.Path) holdfast.Duration {
	every := terms.Exercised
	if !slices.ContainsFunc(path.Tests, func(t holdfast.Test) bool { return t.Rung == holdfast.Restored }) {
		if every == 0 || terms.Restored < every {
			every = terms.Restored
		}
	}
	return every
}

// namedIn returns the plan and the team of a path, nil where it names none.
func namedIn(k *holdfast.Catalogue, path *holdfast.Path) (plan *holdfast.Plan, team *holdfast.Team) {
	for _, n := range path.Needs {
		for i := range k.Plans {
			if n.Plan == k.Plans[i].Name {
				plan = &k.Plans[i]
			}
		}
		for i := range k.Teams {
			if n.Team == k.Teams[i].Name {
				team = &k.Teams[i]
			}
		}
	}
	return plan, team
}

func members(t *holdfast.Team) string {
	var names []string
	for _, m := range t.Members {
		names = append(names, m.Name)
	}
	return strings.Join(names, ",")
}

// exerciseNow exercises the paths of a service, due or not.
func (p *people) exerciseNow(ctx context.Context, service string) error {
	k, err := catalog.Load(p.demo.folder.catalogue(), catalog.Options{})
	if err != nil {
		return err
	}
	for _, d := range p.duties(k) {
		if strings.HasPrefix(d.name, "exercise of "+service+"/") {
			if err := d.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
			p.last[d.name] = time.Now()
		}
	}
	return nil
}

// exercise really restores the data of a path and enters it as an exercise. A
// restore that fails is an exercise that failed.
func (p *people) exercise(ctx context.Context, s *holdfast.Service, path *holdfast.Path, plan *holdfast.Plan, team *holdfast.Team) error {
	if len(path.From) != 1 {
		return fmt.Errorf("path %s restores %d datasets; the demo's people know how to restore one", path.Name, len(path.From))
	}
	name := s.Name
	if strings.HasPrefix(name, "project-") {
		name = "project"
	}
	from, err := p.demo.terms.store(name + "/" + path.From[0].String())
	if err != nil {
		return err
	}
	into, err := os.MkdirTemp(p.demo.folder.tmp(), "exercise-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(into)
	started := time.Now().UTC()
	got, err := from.restore(ctx, into)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	took := max(time.Since(started), time.Millisecond).Round(time.Millisecond)
	args := []string{"exercise", "--service", s.Name, "--path", path.Name, "--site", path.At,
		"--plan", plan.Name, "--plan-version", plan.Version, "--people", members(team), "--by", team.Members[0].Name,
		"--started", started.Format(time.RFC3339Nano), "--duration", holdfast.Duration(took).String()}
	if err != nil {
		return p.record(ctx, append(args, "--outcome", "failed", "--note", err.Error())...)
	}
	return p.record(ctx, append(args, "--outcome", "ok", "--point", got.point.UTC().Format(time.RFC3339Nano),
		"--bytes", strconv.FormatInt(got.bytes, 10))...)
}

func (p *people) record(ctx context.Context, args ...string) error {
	_, err := p.demo.holdfast(ctx, append([]string{"record"}, args...)...)
	return err
}
