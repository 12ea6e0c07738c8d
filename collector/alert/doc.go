// Package alert wakes people: it turns judgements into alerts, keeps each through
// its life, and brings notices of it to whoever asked for them.
package alert
