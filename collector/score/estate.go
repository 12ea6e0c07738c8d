package score

import (
	"fmt"

	"github.com/holdfast-monitor/holdfast"
)

// Estate is the one sentence about all services: a count, never an average.
type Estate struct {
	Proven    int `json:"proven"`     // could be recovered within target now, with proof
	Total     int `json:"total"`      // all services, the not judged and the accepted included
	NotJudged int `json:"not_judged"` // without a BIA
	Looser    int `json:"looser"`     // of the proven, by looser terms
}

// CountEstate counts postures.
func CountEstate(postures []holdfast.Posture) Estate {
	e := Estate{Total: len(postures)}
	for i := range postures {
		p := &postures[i]
		switch p.State {
		case holdfast.Proven:
			e.Proven++
			if len(p.Looser) > 0 {
				e.Looser++
			}
		case holdfast.NotJudged:
			e.NotJudged++
		}
	}
	return e
}

// String writes the sentence: "6 of 14 services could be recovered within target
// now, with proof; 2 by looser terms".
func (e Estate) String() string {
	services := "services"
	if e.Total == 1 {
		services = "service"
	}
	text := fmt.Sprintf("%d of %d %s could be recovered within target now, with proof", e.Proven, e.Total, services)
	if e.Looser > 0 {
		text += fmt.Sprintf("; %d by looser terms", e.Looser)
	}
	return text
}
