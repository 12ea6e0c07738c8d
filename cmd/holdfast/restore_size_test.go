//go:build !soak

package main

import "time"

// What TestRestoreBesideOthers restores, and how often the checks beside it look. make
// soak restores 2 GiB and wants them on time.
const (
	restoreBytes = 256 << 20
	besideEvery  = time.Second
	besideOnTime = false
)
