package restic

// Parsers and helpers that tests outside the package look at.
var (
	ParseSnapshots = parseSnapshots
	ParseStats     = parseStats
	ParseLs        = parseLs
	ParseVersion   = parseVersion
	ParseEnv       = parseEnv
	MajorMinor     = majorMinor
	SubsetArgument = subsetArgument
	Literal        = literal
)

type (
	Snapshot = snapshot
	Size     = size
	Node     = node
)

func (s snapshot) At() any { return s.at() }
