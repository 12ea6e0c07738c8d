package holdfast

// SiteKind says what a site is.
type SiteKind string

// The kinds of site.
const (
	SiteDC       SiteKind = "dc"
	SiteRegion   SiteKind = "region"
	SiteAccount  SiteKind = "account"
	SiteSupplier SiteKind = "supplier"
	SiteOffice   SiteKind = "office"
)

// SiteKinds lists every kind.
var SiteKinds = []SiteKind{SiteDC, SiteRegion, SiteAccount, SiteSupplier, SiteOffice}

// Site is a place things can be lost together: a data centre, a region, an
// account, a supplier. Services, copies and agents stand at a site.
type Site struct {
	Name     string   `json:"name"`
	Title    string   `json:"title,omitempty"`
	Kind     SiteKind `json:"kind,omitempty"`
	Within   string   `json:"within,omitempty"`   // the site that contains it
	Supplier string   `json:"supplier,omitempty"` // who runs it; the containing site's where empty
	Was      string   `json:"was,omitempty"`
}

// Team is people who own services or carry out recovery.
type Team struct {
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`
	Members []Member `json:"members,omitempty"`
	Was     string   `json:"was,omitempty"`
}

// Member is a person of a team. One person may be a member of several teams and
// has the same name in each.
type Member struct {
	Name    string          `json:"name"`
	Trained map[string]Date `json:"trained,omitempty"` // plan → when last trained in it
}

// Plan is a continuity plan document (ISO 22301 8.4.4).
type Plan struct {
	Name       string     `json:"name"`
	Title      string     `json:"title,omitempty"`
	Version    string     `json:"version,omitempty"`
	URL        string     `json:"url,omitempty"`
	Owner      string     `json:"owner,omitempty"`
	Approver   string     `json:"approver,omitempty"`
	Approved   Date       `json:"approved,omitzero"` // counts as a review
	Review     Duration   `json:"review,omitempty"`  // own cadence; the shorter of it and the tier's counts
	Activation string     `json:"activation,omitempty"`
	Recovery   string     `json:"recovery,omitempty"`
	Return     string     `json:"return,omitempty"` // return to normal
	Kept       []KeptCopy `json:"kept,omitempty"`
	Was        string     `json:"was,omitempty"`
}

// KeptCopy is a place where a readable copy of a plan lies.
type KeptCopy struct {
	Site  string `json:"site"`
	Host  string `json:"host,omitempty"`
	Check *Check `json:"check,omitempty"` // who looks that it can be read; nil: typed only
}
