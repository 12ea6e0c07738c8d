// Package wire turns the words of Holdfast into what travels between processes
// and back: between a plugin and its agent, and between an agent and the
// collector. The generated protobuf types are in wirepb; nothing outside the
// programs at the two ends of a connection needs them.
package wire
