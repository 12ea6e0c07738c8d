package postgres

import "github.com/holdfast-monitor/holdfast/plugins/postgres/scratchpg"

// Insides that tests outside the package look at.
var (
	Assert    = scratchpg.Assert
	Restrict  = scratchpg.Restrict
	Program   = program
	ProgramIn = func(folder, name string) string { return newestProgram([]string{folder}, name) }
)
