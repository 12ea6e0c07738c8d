package web

import (
	"context"
	"time"

	holdfast "github.com/holdfast-monitor/holdfast"
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
	register(a, operation{Route: "GET /data/unprotected", ID: "list-unprotected-databases", Tag: "Readiness",
		Summary:     "Databases that agents found on their hosts and no check covers",
		Description: "By agent. A database is covered by a dataset that stands on its host and has a copy, other than the data itself, that a check looks at, if its title is the database's path, or one of its checks names the path, a folder above it that is saved, or the port; or if the copy is seen by a probe of the database's own kind and no other of the kind was found on the host. A backup that was seen on the host (seen) covers nothing: nobody checks it."}, s.apiUnprotected)
}

// UnprotectedDatabases is the answer of GET /api/v1/data/unprotected.
type UnprotectedDatabases struct {
	At        time.Time                      `json:"at" doc:"when this was read, by the collector's clock"`
	Sentence  string                         `json:"sentence"`
	Agents    int                            `json:"agents" doc:"that have looked over their hosts"`
	Found     int                            `json:"found" doc:"databases found altogether"`
	Total     int                            `json:"total" doc:"of them covered by no check, on all pages together"`
	Databases []holdfast.UnprotectedDatabase `json:"databases"`
	Unread    []holdfast.UnreadPlaces        `json:"unread" doc:"where agents may not look: there may be more databases"`
	Next
}

func (s *server) apiUnprotected(_ context.Context, in *struct{ Paging }) (*page[UnprotectedDatabases], error) {
	d := s.discovery()
	a := UnprotectedDatabases{At: s.c.Now(), Sentence: discoverySentence(d), Agents: d.Agents, Found: d.Databases, Total: len(d.Unprotected), Unread: d.Unread}
	var link string
	a.Databases, a.Next, link = paged(d.Unprotected, in.Paging, func(x *holdfast.UnprotectedDatabase) string { return x.Agent + "\x00" + x.Key() })
	if a.Unread == nil {
		a.Unread = []holdfast.UnreadPlaces{}
	}
	return &page[UnprotectedDatabases]{link, a}, nil
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
