package collector

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	holdfast "github.com/holdfast-monitor/holdfast"
	"github.com/holdfast-monitor/holdfast/collector/openid"
	"github.com/holdfast-monitor/holdfast/collector/store/bolt"
)

// Facts is what the collector says of itself.
func (c *Collector) Facts() holdfast.CollectorFacts {
	f := holdfast.CollectorFacts{
		Version: c.version, Started: c.started.UTC(), Retention: holdfast.Duration(c.cfg.Retention), Authority: c.ingest.AuthorityEnds().UTC(),
	}
	if info, err := os.Stat(filepath.Join(c.cfg.Data, bolt.FileName)); err == nil {
		f.Store = holdfast.Bytes(info.Size())
	}
	if c.openid != nil {
		answered, problem := c.openid.State()
		f.OpenID = &holdfast.ProviderState{Title: c.openid.Title(), Issuer: c.openid.Issuer(), Answered: answered.UTC(), Problem: problem}
	}
	return f
}

// Accepted lists the catalogues that were in force, at most limit, the one in
// force first.
func (c *Collector) Accepted(ctx context.Context, limit int) ([]holdfast.AcceptedCatalogue, error) {
	list := []holdfast.AcceptedCatalogue{}
	for k, err := range c.store.Catalogues(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read kept catalogues: %w", err)
		}
		list = append(list, holdfast.AcceptedCatalogue{Hash: k.Hash, Accepted: k.At.UTC(), Summary: k.Summary})
		if len(list) == limit {
			break
		}
	}
	return list, nil
}

// openOpenID reads which provider people log in with. It is asked nothing yet.
func (c *Collector) openOpenID() error {
	if c.cfg.OpenID == "" {
		return nil
	}
	cfg, err := openid.Load(c.cfg.OpenID)
	if err != nil {
		return err
	}
	c.openid, err = openid.New(cfg, c.url+"/login/oidc", c.now)
	return err
}
