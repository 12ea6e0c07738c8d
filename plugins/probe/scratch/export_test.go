package scratch

// Available is available, of a process and control groups elsewhere.
var Available = available
