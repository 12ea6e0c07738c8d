// Package catalog reads the catalogue: a directory of YAML files, owned by the
// business and kept in git, that says which services there are, what was agreed
// for each, and how each would come back.
//
// # Files
//
// Every *.yaml and *.yml file of the directory and of the directories below is
// read; names that begin with a dot are left out. The directory itself may be a
// symbolic link; links to files below it are followed, links to directories are
// not. A file may hold several documents. The first key of a document says what
// it is: service, site, team, plan, policy or scenario.
//
// # Names
//
// A name has 1 to 100 characters of a-z A-Z 0-9 . _ - and begins with a letter or
// a digit. Names of the same kind differ; within a service a dataset and a path
// differ too, because both are the second part of a check's ID. People and
// owners, titles and reasons are free text.
//
// # Strictness
//
// An unknown key, a duplicate one, a wrong type, a dangling reference or an
// impossible value is a [Fault]; all faults come at once, each with its place, the
// path of its key and a hint. A true statement about the organisation is never a
// fault: an RTO longer than the MTPD, a service without a BIA, a path that a
// scenario disqualifies are for the judgement to show.
//
// YAML is read plainly: numbers in decimal, true and false, no tags, no merge
// keys. Aliases are expanded within a bound.
//
// # Defaults of place
//
// A path's at is the service's site; a copy stands at the service's site, a need
// at its path's at, and on the service's host only where the site is the
// service's. A need that points to a check written elsewhere stands where that
// check does. People and papers stand on no host. What is not stated is taken as
// the worst, never guessed.
//
// # Limits
//
// 10,000 files, 4 MiB a file, 64 MiB in all; 100,000 values in place of aliases;
// 100 levels deep. The first 1,000 faults are told, the others counted. An every
// of a need, copy or kept plan lies below 2 h, 12 h, 24 h, 48 h for tier 1 to 4; a
// plan has the tier of the most critical service whose paths name it, 4 without.
package catalog
