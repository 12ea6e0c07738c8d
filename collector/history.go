package collector

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/wire"
)

// historyForm is the stored form of a check's history: what judgement reads of it
// at the start. It is compact because there is one for every check.
const historyForm = 1

// encodeHistory writes a check's history, oldest first.
func encodeHistory(list []holdfast.Observation) ([]byte, error) {
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
	return b, nil
}

// decodeHistory reads what encodeHistory wrote of a check.
func decodeHistory(check string, b []byte) ([]holdfast.Observation, error) {
	c := cursor{b: b}
	if form := c.byte(); form != historyForm {
		return nil, fmt.Errorf("history is of form %d, this program reads form %d", form, historyForm)
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
			return nil, fmt.Errorf("history: %w", c.err)
		}
		o, err := wire.ReadBody(body)
		if err == nil {
			err = wire.SetNumbers(&o, counts, measures)
		}
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		o.Check, o.Agent, o.Seq, o.Offset = check, agent, seq, holdfast.Duration(offset)
		o.At, o.Received = time.Unix(0, at).UTC(), time.Unix(0, received).UTC()
		list[i] = o
	}
	return list, c.err
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
