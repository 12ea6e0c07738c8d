// Package bolt keeps the collector's store in one bbolt file, DIR/holdfast.db.
//
// # Bucket tree
//
//	meta                 key                          value
//	  format             "format"                     number of this layout, uint32
//	  program            "program"                    version of the program that wrote the format
//	reports              agent                        epoch, seq, received (8 bytes each), settled, hot
//	texts                agent                        texts
//	histories            check                        value
//	transitions          time, number                 service, from, to, score, cause, value
//	transitions_of       service, time, number        -
//	observed             time, number                 check, value
//	observed_of          check, time, number          -
//	records              ID                           JSON of holdfast.Record
//	agents               name                         JSON of holdfast.AgentIdentity
//	secrets              kind, hash                   JSON of holdfast.Secret
//	catalogues           number                       JSON of catalogueEntry
//	files                SHA-256 of the content       content of a catalogue's file, kept once
//	documents            kind, name                   value
//
// Every bucket begins with a record that holds nothing, see keyAnchor.
//
// Numbers and times (nanoseconds since 1970, sign bit flipped) are 8 bytes, big
// endian, so that keys sort as they should; numbers come from the bucket's
// sequence. A name inside a key is led by its length in two bytes. Timelines are
// written in the order of time, at the end of the tree, because random small keys
// are what bbolt is slow at; their indexes (…_of) hold keys alone.
//
// Every value begins with a checksum (CRC-32C, 4 bytes) over bucket, key and the
// rest of it: bbolt itself notices no flipped bit.
//
// # What the file goes through
//
// It is made under a temporary name, synced and renamed, so that no crash leaves
// half a file under its name. A write is one bbolt transaction: changed pages go
// to free space, are synced, and one page of 64 meaningful bytes that points to
// them is synced last. The list of free pages is kept in the file, so opening
// takes milliseconds at any size. The file never shrinks; a restore writes it anew
// without its holes.
//
// The map of the file in memory is as large as the file may become from the start.
// Remapping would wait for every reader, and a backup is a long one.
//
// bbolt panics on pages that make no sense, and a page beyond a truncated file is
// a memory fault. Both are caught and become a [*store.DamageError].
package bolt
