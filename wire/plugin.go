package wire

import (
	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire/wirepb"
)

// FromDescription writes what a probe is.
func FromDescription(d holdfast.Description) *wirepb.Description {
	m := &wirepb.Description{
		Name:           text(d.Name),
		Observes:       text(d.Observes),
		SettingsSchema: text(string(d.Settings)),
		Cost:           text(string(d.Cost)),
		Privileges: &wirepb.Privileges{
			Writes:  d.Privileges.Writes,
			Secrets: d.Privileges.Secrets,
			Command: d.Privileges.Command,
			Note:    text(d.Privileges.Note),
		},
	}
	for _, tool := range d.Privileges.Tools {
		m.Privileges.Tools = append(m.Privileges.Tools, text(tool))
	}
	for _, name := range d.Target {
		m.Target = append(m.Target, text(name))
	}
	for _, name := range d.Secret {
		m.Secret = append(m.Secret, text(name))
	}
	for _, name := range d.Paths {
		m.Paths = append(m.Paths, text(name))
	}
	for _, r := range d.Reasons {
		m.Reasons = append(m.Reasons, text(string(r)))
	}
	return m
}

// ToDescription reads what a probe is.
func ToDescription(m *wirepb.Description) holdfast.Description {
	d := holdfast.Description{
		Name:     m.GetName(),
		Observes: m.GetObserves(),
		Settings: holdfast.Settings(m.GetSettingsSchema()),
		Cost:     holdfast.Cost(m.GetCost()),
		Privileges: holdfast.Privileges{
			Writes:  m.GetPrivileges().GetWrites(),
			Secrets: m.GetPrivileges().GetSecrets(),
			Command: m.GetPrivileges().GetCommand(),
			Tools:   m.GetPrivileges().GetTools(),
			Note:    m.GetPrivileges().GetNote(),
		},
	}
	d.Target, d.Secret, d.Paths = m.GetTarget(), m.GetSecret(), m.GetPaths()
	for _, r := range m.GetReasons() {
		d.Reasons = append(d.Reasons, holdfast.Reason(r))
	}
	return d
}

// FromPhase turns progress into its message.
func FromPhase(p holdfast.Phase) *wirepb.Phase {
	return &wirepb.Phase{Name: text(p.Name), Done: p.Done, Total: p.Total}
}

// ToPhase turns a message into progress.
func ToPhase(m *wirepb.Phase) holdfast.Phase {
	return holdfast.Phase{Name: m.GetName(), Done: m.GetDone(), Total: m.GetTotal()}
}
