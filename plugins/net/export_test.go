package net

// ProbesWith is Probes with another resolver than the host's own.
var ProbesWith = probes
