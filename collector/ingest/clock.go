package ingest

import (
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// small is a difference of clocks that is not corrected and not told: it is no
// more than what a busy host or network makes of none.
const small = holdfast.Duration(time.Second)

// clock is what is known of an agent's clock.
type clock struct {
	known      bool
	offset     holdfast.Duration // agent − collector, as last measured
	correction holdfast.Duration // what is taken off the agent's times: offset, or 0 where it is small
}

// measure takes the answer to a ping: the agent's clock was read at some instant
// between sent and received, so half the way is taken off, as NTP does (RFC 5905
// 8). It reports whether the offset is news.
func (c *clock) measure(sent, received time.Time, agent int64) (news bool) {
	half := received.Sub(sent) / 2
	offset := holdfast.Duration(time.Unix(0, agent).Sub(sent) - half)
	doubt := max(small, holdfast.Duration(half))
	if c.known && abs(offset-c.offset) <= doubt {
		return false // no better than what is known
	}
	news = !c.known || abs(offset-c.offset) > small
	c.known, c.offset, c.correction = true, offset, offset
	if abs(offset) <= doubt {
		c.correction = 0
	}
	return news
}

// odd reports whether a report is dated so that the agent's clock, or ours, must
// have been set since it was measured. What is late may just have waited on its
// way, so it takes more.
func (c *clock) odd(sent int64, received time.Time) bool {
	ahead := time.Unix(0, sent).Add(-c.offset.Std()).Sub(received)
	return ahead > 2*small.Std() || ahead < -10*time.Second
}

func abs(d holdfast.Duration) holdfast.Duration { return max(d, -d) }
