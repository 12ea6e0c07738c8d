package holdfast

import "time"

// AgentIdentity is who an agent is to the collector: a name bound to one key.
// Certificates are short-lived copies of this fact; the fact decides.
type AgentIdentity struct {
	Name       string    `json:"name"`
	Site       string    `json:"site,omitempty"`
	Key        []byte    `json:"key,omitempty"`        // SHA-256 of the key's SubjectPublicKeyInfo; empty: never enrolled
	Enrolled   time.Time `json:"enrolled,omitzero"`    // last bound to a key by a join token
	Serial     string    `json:"serial,omitempty"`     // of the newest certificate, hex
	NotAfter   time.Time `json:"not_after,omitzero"`   // of the newest certificate
	Revoked    time.Time `json:"revoked,omitzero"`     // zero: not revoked
	Recoveries int       `json:"recoveries,omitempty"` // certificates given by proof of the key since Enrolled
	Recovered  time.Time `json:"recovered,omitzero"`   // the last of them
	Clash      string    `json:"clash,omitempty"`      // a second host that used its name and key
	Clashed    time.Time `json:"clashed,omitzero"`     // when it was last seen
}

// The kinds of secret.
const (
	SecretJoin    = "join"    // binds an agent's key to its name, once
	SecretAPI     = "api"     // a program's token for the API
	SecretLogin   = "login"   // a one-time link to log in
	SecretSession = "session" // a person's browser
	SecretBadge   = "badge"   // shows one service's state and score to who has its address
)

// Secret is what is kept of a token: its hash, never the token.
type Secret struct {
	Hash    string    `json:"hash"` // SHA-256 of the token, hex
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`          // the agent, the user, or the badge's service
	Role    Role      `json:"role,omitempty"`   // of a user's secret
	Created time.Time `json:"created"`          //
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Used    time.Time `json:"used,omitzero"`    // when a one-time secret was spent
	By      string    `json:"by,omitempty"`     // who made a token or a badge
	Via     string    `json:"via,omitempty"`    // how a session began
	From    string    `json:"from,omitempty"`   // where a session began: address and browser
	Epoch   string    `json:"epoch,omitempty"`  // of a local user's session or link: the user's own; it ends when that changes
	Person  string    `json:"person,omitempty"` // of a session by OpenID Connect: issuer and subject
}
