//go:build soak

package main

import "time"

const (
	restoreBytes = 2 << 30
	besideEvery  = 5 * time.Second
	besideOnTime = true
)
