package collector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/score"
	"github.com/holdfast-monitor/holdfast/wire"
)

// historyForm is the stored form of a check's history: what judgement reads of it
// at the start. It is compact because there is one for every check. Form 1 had no
// recovery points of the past.
const historyForm = 2

// encodeHistory writes a check's history, oldest first, and its recovery points of
// the past, newest first.
func encodeHistory(list []holdfast.Observation, past []score.PastPoint) ([]byte, error) {
	b := append(make([]byte, 0, 256), historyForm)
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		o := &list[i]
		r, err := wire.FromResult(o)
		if err != nil {
			return nil, err
		}
		at := o.At.UnixNano()
		b = binary.AppendUvarint(b, o.Seq)
		b = binary.AppendVarint(b, at)
		b = binary.AppendVarint(b, o.Received.UnixNano()-at)
		b = binary.AppendVarint(b, int64(o.Offset))
		b = appendBytes(b, o.Agent)
		b = appendNumbers(b, r.Counts, r.Measures)
		b = appendBytes(b, r.Body)
	}
	return appendPast(b, past), nil
}

// appendPast writes recovery points of the past. Their times are told as what they
// differ by from the one before: neighbours are near.
func appendPast(b []byte, past []score.PastPoint) []byte {
	b = binary.AppendUvarint(b, uint64(len(past)))
	at := int64(0)
	for i := range past {
		p := &past[i]
		old := uint64(0)
		if p.Old {
			old = 1
		}
		b = binary.AppendVarint(b, p.At-at)
		for _, n := range []uint64{uint64(p.ID), uint64(p.Of), uint64(p.Bytes), uint64(p.Files), uint64(p.Changed + 1),
			uint64(p.First), uint64(p.Last), uint64(p.Gone), old} {
			b = binary.AppendUvarint(b, n)
		}
		at = p.At
	}
	return b
}

// past reads what appendPast wrote.
func (c *cursor) past() []score.PastPoint {
	past := make([]score.PastPoint, c.count(10))
	at := int64(0)
	for i := range past {
		at += c.varint()
		past[i] = score.PastPoint{At: at, ID: uint32(c.uvarint()), Of: uint32(c.uvarint()), Bytes: int64(c.uvarint()), Files: int64(c.uvarint()),
			Changed: int64(c.uvarint()) - 1, First: uint32(c.uvarint()), Last: uint32(c.uvarint()), Gone: uint32(c.uvarint()), Old: c.uvarint() == 1}
	}
	return past
}

// decodeHistory reads what encodeHistory wrote of a check.
func decodeHistory(check string, b []byte) ([]holdfast.Observation, []score.PastPoint, error) {
	c := cursor{b: b}
	form := c.byte()
	if form != 1 && form != historyForm {
		return nil, nil, fmt.Errorf("history is of form %d, this program reads forms up to %d", form, historyForm)
	}
	list := make([]holdfast.Observation, c.count(8))
	agent := ""
	for i := range list {
		seq, at := c.uvarint(), c.varint()
		received, offset := at+c.varint(), c.varint()
		if by := c.bytes(); string(by) != agent { // the same text again needs no new memory
			agent = string(by)
		}
		counts, measures := c.numbers()
		body := c.bytes()
		if c.err != nil {
			return nil, nil, fmt.Errorf("history: %w", c.err)
		}
		o, err := wire.ReadBody(body)
		if err == nil {
			err = wire.SetNumbers(&o, counts, measures)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("history: %w", err)
		}
		o.Check, o.Agent, o.Seq, o.Offset = check, agent, seq, holdfast.Duration(offset)
		o.At, o.Received = time.Unix(0, at).UTC(), time.Unix(0, received).UTC()
		list[i] = o
	}
	if form == 1 {
		return list, nil, c.err
	}
	past := c.past()
	return list, past, c.err
}

// encodeObserved is the stored form of an observed change: JSON, as people may
// want to read it in years.
func encodeObserved(o holdfast.Observation) []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("observation cannot be written as JSON: %v", err)) // all its numbers were checked
	}
	return b
}
