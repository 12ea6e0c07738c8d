package web

import (
	"context"
	"time"
)

// ProtectedData is the answer of GET /api/v1/data.
type ProtectedData struct {
	At       time.Time          `json:"at" doc:"when this was read, by the collector's clock"`
	Sentence string             `json:"sentence" doc:"how all datasets stand, whatever is asked for here"`
	Total    int                `json:"total" doc:"datasets that match, on all pages together"`
	Datasets []ProtectedDataset `json:"datasets" doc:"by service and dataset"`
	Next
}

// DataQuery is which datasets are asked for: the filter of the page /data.
type DataQuery struct {
	Text    string `query:"q" maxLength:"200" doc:"only where service, dataset, owner, site or reason holds this text"`
	Service string `query:"service" maxLength:"256" doc:"only of this service"`
	Owner   string `query:"owner" maxLength:"256" doc:"only of this owner's services"`
	Site    string `query:"site" maxLength:"256" doc:"only where the service or a copy stands at this site"`
	State   string `query:"state" enum:"proven,stale,degraded,untested,unknown,broken,uncovered,not-judged" doc:"only in this state"`
	Only    string `query:"only" enum:"problems,rule,unrestored,unverified" doc:"only what is not protected as agreed, does not meet 3-2-1-1-0, was never restored, or was never verified"`
}

func (s *server) addDataAPI(a *api) {
	register(a, operation{Route: "GET /data", ID: "list-data", Tag: "Readiness",
		Summary:     "Every dataset with its copies: how it is protected",
		Description: "Exposure against the RPO per scenario, copies by place, 3-2-1-1-0 part by part, last verified and restored. What the page /data and its CSV show."}, s.apiData)
}

func (s *server) apiData(_ context.Context, in *struct {
	DataQuery
	Paging
}) (*page[ProtectedData], error) {
	f := dataFilter{Text: in.Text, Service: in.Service, Owner: in.Owner, Site: in.Site, State: in.State, Only: in.Only, Sort: "dataset"}
	now := s.c.Now()
	all := s.datasets()
	a := ProtectedData{At: now}
	lead, rest, others := dataSentence(all)
	a.Sentence = lead + rest + "."
	if others != "" {
		a.Sentence += " " + others + "."
	}
	chosen := f.chosen(all, now)
	a.Total = len(chosen)
	list, next, link := paged(chosen, in.Paging, func(d **ProtectedDataset) string { return (*d).Service + "\x00" + (*d).Dataset })
	for _, d := range list {
		a.Datasets = append(a.Datasets, *d)
	}
	finish(s.c, a.Datasets)
	if a.Datasets == nil {
		a.Datasets = []ProtectedDataset{}
	}
	a.Next = next
	return &page[ProtectedData]{link, a}, nil
}
