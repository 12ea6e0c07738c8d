package collector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/ingest"
	"github.com/holdfast-monitor/holdfast/wire"
)

// roster is the latest result of every check one agent has reported: what is
// stored as that agent's one value, and what the next report is compared with.
type roster struct {
	epoch, seq uint64            // of the newest report in it
	settled    holdfast.Progress // applied; the store may not have it yet
	received   int64             // ns
	slots      []slot
	place      map[string]int // check → index in slots

	version string // the assignment that numbers belongs to
	numbers []int  // number in the assignment → index in slots
	texts   bool   // bodies changed since texts were last stored
	layout  uint64 // tells this sequence of slots from another; 0: to be worked out
}

// slot is a check's latest result. Times are the agent's own less its clock's
// offset, ns since 1970.
type slot struct {
	check    string
	order    uint64 // grows with every result of the agent
	at       int64
	received int64
	offset   int64
	digest   uint64 // of body
	counts   []int64
	measures []float64
	body     []byte
	outcome  holdfast.Outcome
	behind   holdfast.Outcome // of the last result that came behind a newer one
}

func newRoster() *roster { return &roster{place: map[string]int{}} }

// number makes sure that the checks of an assignment have slots, and that
// numbers leads from an assignment's numbers to them.
func (r *roster) number(version string, checks []holdfast.Check) {
	if r.version == version && r.numbers != nil {
		return
	}
	r.version, r.numbers = version, make([]int, len(checks))
	for i := range checks {
		r.numbers[i] = r.slot(checks[i].ID)
	}
}

// slot returns the index of a check's slot, made where there is none.
func (r *roster) slot(check string) int {
	i, ok := r.place[check]
	if !ok {
		i = len(r.slots)
		r.slots = append(r.slots, slot{check: check})
		r.place[check] = i
		r.texts, r.layout = true, 0
	}
	return i
}

// latest returns a check's newest result; a nil roster has none.
func (r *roster) latest(agent, check string) (holdfast.Observation, bool) {
	if r == nil {
		return holdfast.Observation{}, false
	}
	i, ok := r.place[check]
	if !ok || r.slots[i].order == 0 {
		return holdfast.Observation{}, false
	}
	o, err := r.slots[i].observation(agent)
	return o, err == nil
}

// observation returns a check's latest result as a whole observation.
func (s *slot) observation(agent string) (holdfast.Observation, error) {
	o, err := wire.ReadBody(s.body)
	if err != nil {
		return o, err
	}
	if err := wire.SetNumbers(&o, s.counts, s.measures); err != nil {
		return o, err
	}
	ingest.Correct(&o, holdfast.Duration(s.offset))
	o.Check, o.Agent, o.Seq, o.Offset = s.check, agent, s.order, holdfast.Duration(s.offset)
	o.At, o.Received = time.Unix(0, s.at).UTC(), time.Unix(0, s.received).UTC()
	return o, nil
}

// The stored form: hot is what moves with every report, about 32 bytes a check;
// texts is the rest, stored only when it changed. Hot names the layout it fits.
const (
	hotForm   = 1
	textsForm = 1
)

// sequence tells one sequence of checks from another.
func (r *roster) sequence() uint64 {
	if r.layout != 0 {
		return r.layout
	}
	h := fnv.New64a()
	for i := range r.slots {
		h.Write([]byte(r.slots[i].check))
		h.Write([]byte{0})
	}
	r.layout = h.Sum64()
	return r.layout
}

// appendHot adds the hot form to b.
func (r *roster) appendHot(b []byte) []byte {
	b = append(b, hotForm)
	b = binary.LittleEndian.AppendUint64(b, r.sequence())
	b = binary.AppendUvarint(b, uint64(len(r.slots)))
	for i := range r.slots {
		s := &r.slots[i]
		b = binary.AppendUvarint(b, s.order)
		b = binary.AppendVarint(b, s.at)
		b = binary.AppendVarint(b, s.received-s.at)
		b = binary.AppendVarint(b, s.offset)
		b = binary.LittleEndian.AppendUint64(b, s.digest)
		b = appendNumbers(b, s.counts, s.measures)
	}
	return b
}

func appendNumbers(b []byte, counts []int64, measures []float64) []byte {
	b = binary.AppendUvarint(b, uint64(len(counts)))
	for _, v := range counts {
		b = binary.AppendVarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(measures)))
	for _, v := range measures {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// appendTexts adds the form of what seldom changes to b.
func (r *roster) appendTexts(b []byte) []byte {
	b = append(b, textsForm)
	b = binary.AppendUvarint(b, uint64(len(r.slots)))
	for i := range r.slots {
		b = appendBytes(b, r.slots[i].check)
		b = appendBytes(b, r.slots[i].body)
	}
	return b
}

// readRoster reads the stored form back and keeps texts. Slots of which nothing was
// ever reported have order 0.
func readRoster(hot, texts []byte) (*roster, error) {
	r := newRoster()
	t := cursor{b: texts}
	if form := t.byte(); form != textsForm {
		return nil, fmt.Errorf("texts are of form %d, this program reads form %d", form, textsForm)
	}
	for n := t.count(2); n > 0 && t.err == nil; n-- {
		check := string(t.bytes())
		i := r.slot(check)
		r.slots[i].body = slices.Clip(t.bytes())
	}
	if t.err != nil {
		return nil, fmt.Errorf("texts: %w", t.err)
	}
	r.texts = false
	h := cursor{b: hot}
	if form := h.byte(); form != hotForm {
		return nil, fmt.Errorf("state is of form %d, this program reads form %d", form, hotForm)
	}
	if layout := h.fixed(); layout != r.sequence() {
		return nil, errors.New("state and texts do not belong together")
	}
	if n := h.count(12); n != len(r.slots) {
		return nil, fmt.Errorf("state of %d checks, texts of %d", n, len(r.slots))
	}
	for i := range r.slots {
		s := &r.slots[i]
		s.order, s.at = h.uvarint(), h.varint()
		s.received, s.offset = s.at+h.varint(), h.varint()
		s.digest = h.fixed()
		s.counts, s.measures = h.numbers()
	}
	if h.err != nil {
		return nil, fmt.Errorf("state: %w", h.err)
	}
	return r, nil
}

// cursor reads a stored form. After the first error every read gives zero.
type cursor struct {
	b   []byte
	err error
}

var errShort = errors.New("ends too early")

func (c *cursor) take(n int) []byte {
	if c.err != nil || n < 0 || n > len(c.b) {
		c.err = errShort
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte() byte {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) fixed() uint64 {
	if v := c.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.err = errShort
		return 0
	}
	c.take(n)
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.err = errShort
		return 0
	}
	c.take(n)
	return v
}

// count reads how many items of at least so many bytes follow.
func (c *cursor) count(size int) int {
	n := c.uvarint()
	if c.err != nil || n > uint64(len(c.b)/size) {
		if n > 0 {
			c.err = errShort
		}
		return 0
	}
	return int(n)
}

func (c *cursor) numbers() (counts []int64, measures []float64) {
	counts = make([]int64, c.count(1))
	for i := range counts {
		counts[i] = c.varint()
	}
	measures = make([]float64, c.count(8))
	for i := range measures {
		measures[i] = math.Float64frombits(c.fixed())
	}
	return counts, measures
}

func (c *cursor) bytes() []byte { return c.take(c.count(1)) }
