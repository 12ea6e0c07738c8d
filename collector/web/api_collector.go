package web

import (
	"context"

	holdfast "github.com/holdfast-monitor/holdfast"
)

// CollectorAnswer is the answer of GET /api/v1/collector.
type CollectorAnswer struct {
	holdfast.CollectorFacts
	Catalogue holdfast.CatalogueStatus `json:"catalogue"`
}

// Catalogues is the answer of GET /api/v1/catalogues.
type Catalogues struct {
	Catalogues []holdfast.AcceptedCatalogue `json:"catalogues" doc:"the one in force first"`
}

func (s *server) addCollectorAPI(a *api) {
	may := holdfast.Role.MayInspect
	register(a, operation{Route: "GET /collector", ID: "get-collector", Tag: "Collector", May: may,
		Summary: "The collector itself: version, store, certificates, and how its catalogue stands"}, s.apiCollector)
	register(a, operation{Route: "GET /catalogues", ID: "list-catalogues", Tag: "Collector", May: may,
		Summary: "The catalogues that were in force, and what each changed"}, s.apiCatalogues)
}

func (s *server) apiCollector(context.Context, *struct{}) (*answer[CollectorAnswer], error) {
	return &answer[CollectorAnswer]{CollectorAnswer{s.c.Facts(), s.c.CatalogueStatus()}}, nil
}

func (s *server) apiCatalogues(ctx context.Context, in *struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"20" doc:"at most so many, the newest"`
}) (*answer[Catalogues], error) {
	list, err := s.c.Accepted(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	return &answer[Catalogues]{Catalogues{list}}, nil
}
