package holdfast

// The disruptions every organisation is asked about (JUDGEMENT.md 3). A
// catalogue may declare more.
const (
	HostLoss       = "host-loss"
	SiteLoss       = "site-loss"
	DataCorruption = "data-corruption"
	Ransomware     = "ransomware"
	SupplierLoss   = "supplier-loss"
	StaffLoss      = "staff-loss"
)

// Scenarios lists the built-in ones.
var Scenarios = []string{HostLoss, SiteLoss, DataCorruption, Ransomware, SupplierLoss, StaffLoss}

// DeclaredScenario is a disruption the catalogue declares: what it takes out.
type DeclaredScenario struct {
	Name      string   `json:"name"`
	Title     string   `json:"title,omitempty"`
	Sites     []string `json:"sites,omitempty"`
	Hosts     []string `json:"hosts,omitempty"`
	Suppliers []string `json:"suppliers,omitempty"`
	Teams     []string `json:"teams,omitempty"`
	Damaged   bool     `json:"damaged,omitempty"` // the services' data is damaged
	Was       string   `json:"was,omitempty"`
}
