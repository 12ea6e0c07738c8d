package postgres

// Insides that tests outside the package look at.
var (
	Assert    = assert
	Restrict  = restrict
	Program   = program
	ProgramIn = func(folder, name string) string { return newestProgram([]string{folder}, name) }
)
